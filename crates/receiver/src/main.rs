//! wegweiser-receiver: fetch, decode, write, settle.

fn main() {}
