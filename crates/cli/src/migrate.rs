//! `wegweiser migrate`: the database's schema.
//!
//! Promises: applying twice, or twice at once, is harmless. Refuses: to go back.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::{environment, output};

/// Exit code for "migrations are missing".
const DIFFERENT: u8 = 2;

/// Applies what is missing.
#[derive(Debug, Args)]
pub(crate) struct MigrateCommand {
    /// Only show what is applied; exits 2 when something is missing.
    #[arg(long)]
    status: bool,
}

pub(crate) async fn run(command: MigrateCommand) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    if command.status {
        let state = records.migration_state().await.context("looking at the schema")?;
        for (index, name) in state.known.iter().enumerate() {
            let word = if index < state.applied { "applied" } else { "missing" };
            output::text(&format!("{word}  {name}"))?;
        }
        let current = state.is_current();
        return Ok(if current { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) });
    }
    let applied = records.migrate().await.context("migrating the database")?;
    for name in &applied {
        output::text(&format!("applied  {name}"))?;
    }
    if applied.is_empty() {
        output::text("up to date: nothing to apply")?;
    }
    Ok(ExitCode::SUCCESS)
}
