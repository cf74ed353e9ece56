//! The outbox against a real server that is killed, restarted, frozen, filled up, without a stream
//! and unwilling: nothing handed over is lost, nothing arrives twice.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with its first surprise")]

mod outage;
mod spool;
mod stage;
mod trouble;
