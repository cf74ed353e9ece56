//! wegweiser-agent: reports one device.

fn main() {}
