//! wegweiser-web: the HTTP API.

fn main() {}
