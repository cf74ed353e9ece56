//! `wegweiser command-key show` and `rotate`: the keys that sign commands.
//!
//! Promises: only public halves are shown; after a rotation what the key before signed is believed
//! until the next one.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::accounts::{AccountsSettings, Declared};
use clap::{Args, Subcommand};

use super::issuing;
use crate::{environment, output};

/// Keys that sign commands to devices.
#[derive(Debug, Args)]
pub(crate) struct CommandKeyCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the public keys that devices believe, newest first.
    Show,
    /// Make a new key; the one before is believed until the next rotation.
    Rotate,
}

pub(crate) fn run(command: &CommandKeyCommand) -> anyhow::Result<ExitCode> {
    let settings = environment::read(AccountsSettings::read)?;
    let keys = environment::keys(&settings.keys)?;
    match command.verb {
        Verb::Show => keys.ensure_command_key()?,
        Verb::Rotate => {
            keys.rotate_command_key()?;
            let declared = Declared::load(&settings.accounts, &settings.tenants)
                .context("reading the account files")?;
            issuing::keep(&settings, &declared, &keys)?;
        }
    }
    for key in keys.command_keys()? {
        output::text(key.public().as_str())?;
    }
    Ok(ExitCode::SUCCESS)
}
