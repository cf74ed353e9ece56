//! Commands, from the stream to a real agent and back: what it does, and what it refuses whoever
//! publishes it.

mod field;
mod forged;
mod hostile;
mod kinds;
mod rotation;
mod site;
mod ten_minutes;
mod traced;
mod whole;

pub(crate) use site::program;
