//! The verbs, one file each. Without one the agent runs.

mod config;
mod enroll;
mod install;
mod launch;
mod run;
mod status;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use runtime::settings::markdown_table;

use crate::config::Overrides;
use crate::{print, settings};

/// Reports this device to Wegweiser.
#[derive(Debug, Parser)]
#[command(name = "wegweiser-agent", version)]
pub(crate) struct Arguments {
    /// Print every setting with default and unit, as a markdown table.
    #[arg(long)]
    settings: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Report until SIGTERM; what is done where no verb is given.
    Run,
    /// Look at the configuration without running.
    Config(config::ConfigCommand),
    /// Get this device's first credentials with a token of your operator.
    Enroll(enroll::EnrollCommand),
    /// Make the agent a service of this machine, and start it.
    Install(install::InstallCommand),
    /// Become a program that a command runs, within limits; the agent calls this.
    #[command(hide = true)]
    Launch(launch::LaunchCommand),
    /// Say how the agent of this machine fares.
    Status(status::StatusCommand),
    /// Stop the service and take it off this machine; configuration and state stay.
    Uninstall(install::UninstallCommand),
}

/// What was asked for.
///
/// # Errors
/// Nothing that can be done; or help or version, which are printed the same way.
pub(crate) fn arguments() -> Result<Arguments, clap::Error> {
    let command = Arguments::command().after_help(settings_help());
    Arguments::from_arg_matches(&command.try_get_matches()?)
}

/// Does what was asked for, and says with which code to end.
///
/// # Errors
/// Whatever the verb cannot do.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.settings {
        print::answer(&markdown_table(&settings::every()))?;
        return Ok(ExitCode::SUCCESS);
    }
    match arguments.verb.unwrap_or(Verb::Run) {
        Verb::Run => run::run(&arguments.overrides)?,
        Verb::Config(command) => config::run(&command, &arguments.overrides)?,
        Verb::Enroll(command) => enroll::run(&command, &arguments.overrides)?,
        Verb::Install(command) => install::run(&command, &arguments.overrides)?,
        Verb::Launch(command) => launch::run(&command)?,
        Verb::Status(command) => return status::run(&command, &arguments.overrides),
        Verb::Uninstall(command) => install::run_uninstall(&command)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Every setting, below the options.
fn settings_help() -> String {
    let mut help = String::from(
        "Settings from the environment, above the configuration file (wegweiser-agent config \
         print-default shows all that it may hold):\n",
    );
    let mut seen = Vec::new();
    for setting in settings::every() {
        if seen.contains(&setting.name) {
            continue;
        }
        seen.push(setting.name);
        let default = setting.default.map_or(String::new(), |value| format!(" [default: {value}]"));
        let (name, help_text, unit) = (setting.name, setting.help, setting.unit);
        // Writing to a string does not fail.
        let _ = writeln!(help, "\n  {name}{default}\n      {help_text} ({unit})");
    }
    help
}
