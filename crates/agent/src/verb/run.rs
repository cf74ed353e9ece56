//! `wegweiser-agent run`: reports until a signal ends it.

use runtime::telemetry;

use crate::device;
use crate::settings::Told;

/// # Errors
/// Every mistake in the settings; or what ended the agent.
pub(super) fn run() -> anyhow::Result<()> {
    let told = Told::read()?;
    device::run(&told.agent, || telemetry::start("wegweiser-agent", &told.telemetry))
}
