//! What an operator sees: the real binary against real servers, a file a story.

mod installation;
mod reading;
mod support;
mod usage;
