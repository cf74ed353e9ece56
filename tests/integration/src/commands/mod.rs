//! Commands, from an operator's order to a device and back.

mod bounds;
mod consumers;
pub(crate) mod desk;
mod expiry;
mod first_generation;
mod mistakes;
pub(crate) mod outbox;
pub(crate) mod over_http;
mod path;
mod rollout;
