//! `wegweiser-agent status`: how the agent of this machine fares.

use crate::{print, service};

/// # Errors
/// Standard output cannot be written.
pub(super) fn run() -> anyhow::Result<()> {
    let service = service::state().unwrap_or_else(|error| format!("unknown: {error:#}"));
    Ok(print::answer(&format!("service: {service}"))?)
}
