//! Accounts as code against a real server: who may do what, what a plan shows, what a push does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with its first surprise")]

mod allowed;
mod changes;
mod expiry;
mod files;
mod limits;
mod outsiders;
mod refused;
mod revocation;
mod shut_out;
mod stage;
mod start;
mod ways_in;
