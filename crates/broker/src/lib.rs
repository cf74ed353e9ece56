//! The only crate that names async-nats: streams as code, accounts, publishing, pulling, settling.

pub mod plan;
