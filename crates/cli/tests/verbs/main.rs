//! What an operator sees: the real binary against real servers, a file a story.

mod configuration;
mod dlq;
mod doctor;
mod fleet;
mod installation;
mod labels;
mod reading;
mod support;
mod tenants;
mod tokens;
mod top;
mod usage;
