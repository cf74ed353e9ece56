//! The agent as a program, against a real server: what it reports, that it waits and catches up,
//! that it stops in good order, and what it says of settings that cannot be used.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with its first surprise")]

mod adversity;
mod configuration;
mod field;
mod outage;
mod reports;
mod service;
mod stage;
mod usage;
