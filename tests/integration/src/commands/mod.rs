//! Commands, from an operator's order to a device and back.

mod desk;
mod expiry;
mod first_generation;
pub(crate) mod outbox;
pub(crate) mod over_http;
mod path;
mod rollout;
