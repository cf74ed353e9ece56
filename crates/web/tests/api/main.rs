//! The real binary against real servers, a file a story.

mod callers;
mod errors;
mod fleet;
mod page;
mod rates;
mod readiness;
mod reading;
mod sessions;
mod support;
mod tls;
