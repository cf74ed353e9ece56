//! What every process needs and no process should write twice. No domain in here.
//!
//! [`settings`] reads the environment and reports every mistake at once; [`telemetry`] sets up
//! logs and traces; [`metrics`] collects figures; [`shutdown`] turns signals into one token;
//! [`retry`] paces what is tried again; [`health`] answers `/healthz`, `/readyz` and `/metrics`.

pub mod health;
pub mod metrics;
pub mod retry;
pub mod settings;
pub mod shutdown;
pub mod telemetry;

/// Exit code for a wrong configuration (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;
