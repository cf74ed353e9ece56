//! `wegweiser-agent config`: looks at the configuration without running.

use clap::{Args, Subcommand};

use crate::config::{DEFAULT, Overrides, Told};
use crate::print;

/// Looks at the configuration.
#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Print the default configuration, which documents every key.
    PrintDefault,
    /// Say whether the agent could run with it; if not, name every mistake and exit with 64.
    Check,
}

/// # Errors
/// Every mistake in the settings.
pub(super) fn run(command: &ConfigCommand, overrides: &Overrides) -> anyhow::Result<()> {
    match command.verb {
        ConfigVerb::PrintDefault => Ok(print::answer(DEFAULT)?),
        ConfigVerb::Check => {
            let Told { agent, .. } = Told::read(overrides)?;
            let (device, tenant) = (agent.device, agent.tenant);
            Ok(print::answer(&format!("can be used: device {device} of tenant {tenant}"))?)
        }
    }
}
