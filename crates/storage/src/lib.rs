//! The only crate that names redis and tokio-postgres: rings and records.
