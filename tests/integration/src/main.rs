//! Stories told against real servers: one test binary, a file a story.
//!
//! Redis and Postgres are shared, with a prefix and a database a story; the broker is the story's
//! own, with operator, accounts and streams as an operator would make them. Our own parts run as
//! the processes that users run. Nothing sleeps: every wait is for a condition, with a deadline.

mod world;

mod api_isolation;
mod browser;
mod commands;
mod delivery;
mod device_commands;
mod enrolment;
mod first_generation;
mod flood;
mod ledger;
mod letters_over_http;
mod live;
mod metrics;
mod noisy_neighbour;
mod observability;
mod openapi;
mod order;
mod outage;
mod poison;
mod presence;
mod rebuild;
mod redis_access;
mod replay;
mod rings;
mod service;
mod sessions;
mod tidy;
mod traces;
mod units;
mod walls;
