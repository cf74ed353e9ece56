//! wegweiser: what an operator types.

fn main() {}
