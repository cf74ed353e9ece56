//! `wegweiser-agent run`: reports until a signal ends it.

use runtime::telemetry;

use crate::config::{Overrides, Told};
use crate::device;

/// # Errors
/// Every mistake in the settings; or what ended the agent.
pub(super) fn run(overrides: &Overrides) -> anyhow::Result<()> {
    let told = Told::read(overrides)?;
    let start = || telemetry::start("wegweiser-agent", &told.telemetry);
    device::run(&told, || Told::read(overrides), start)
}
