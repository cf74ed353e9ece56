//! `wegweiser-agent install` and `uninstall`: the agent as a service of this machine.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::config::{Overrides, Told, file_path};
use crate::{print, service};

/// Makes the agent a service.
#[derive(Debug, Args)]
pub(super) struct InstallCommand {
    /// The program that the service runs; without it, this one.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Only write the service's files below this folder, as for an image; check and start nothing.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

/// Takes the service off the machine.
#[derive(Debug, Args)]
pub(super) struct UninstallCommand {
    /// Only remove the service's files below this folder.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

/// # Errors
/// Every mistake in the settings; what could not be done.
pub(super) fn run(command: &InstallCommand, overrides: &Overrides) -> anyhow::Result<()> {
    let creds =
        if command.root.is_none() { Told::read(overrides)?.agent.broker.creds } else { None };
    let program = match &command.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("finding this program; give --program")?,
    };
    let made = service::Service { program, config: file_path(overrides), creds };
    answer(&service::install(&made, command.root.as_deref())?)
}

/// # Errors
/// What could not be done.
pub(super) fn run_uninstall(command: &UninstallCommand) -> anyhow::Result<()> {
    answer(&service::uninstall(command.root.as_deref())?)
}

fn answer(done: &[String]) -> anyhow::Result<()> {
    Ok(print::answer(&done.join("\n"))?)
}
