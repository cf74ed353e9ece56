//! Real servers, real kills: a file a story.

#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in the test functions themselves, not in their helpers"
)]

mod demo;
mod local_stack;
mod orphans;
mod proxy;
mod servers;
mod support;
mod tools;
