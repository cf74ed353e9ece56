//! What every process needs and no process should write twice. No domain in here.
//!
//! [`settings`] reads the environment and reports every mistake at once; [`telemetry`] sets up
//! [`logs`] and traces, whose spans [`trace`] makes; [`metrics`] collects figures; [`shutdown`] turns
//! signals into one token;
//! [`retry`] paces what is tried again; [`health`] answers `/healthz`, `/readyz` and `/metrics`;
//! [`manager`] tells systemd; [`causes`] says an error with what is behind it.

pub mod causes;
pub mod health;
pub mod logs;
pub mod manager;
pub mod metrics;
mod otlp;
pub mod retry;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod trace;

/// Exit code for a wrong configuration (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;
