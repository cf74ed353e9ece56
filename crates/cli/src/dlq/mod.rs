//! `wegweiser dlq …`: dead letters, looked at and dealt with.
//!
//! Promises: nothing is changed that the audit log does not tell of; a letter goes only after its
//! stream has the message, or after a reason was given; a run that was cut is run again.

mod discard;
mod export;
mod foresight;
mod list;
mod progress;
mod removal;
mod replay;
mod selection;
mod show;
mod stats;
mod tally;
mod trail;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};

pub(crate) use progress::Progress;
pub(crate) use selection::{ago as span_ms, time};

use crate::environment;

/// Dead letters: messages that could not be applied.
#[derive(Debug, Args)]
pub(crate) struct DlqCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List letters, oldest first.
    List(list::ListCommand),
    /// Show one letter: its headers and its payload.
    Show(show::ShowCommand),
    /// Count letters by stream, reason and tenant.
    Stats(stats::StatsCommand),
    /// Write letters as JSON lines.
    Export(export::ExportCommand),
    /// Send originals again, under their own ids.
    Replay(replay::ReplayCommand),
    /// Remove letters for good.
    Discard(discard::DiscardCommand),
    /// Show who replayed or discarded what, newest first.
    Trail(trail::TrailCommand),
}

pub(crate) async fn run(command: DlqCommand) -> anyhow::Result<ExitCode> {
    let verb = command.verb;
    if let Verb::Trail(command) = verb {
        return trail::run(&command).await;
    }
    let broker = environment::broker().await?;
    match verb {
        Verb::List(command) => list::run(&command, &broker).await,
        Verb::Show(command) => show::run(&command, &broker).await,
        Verb::Stats(command) => stats::run(&command, &broker).await,
        Verb::Export(command) => export::run(&command, &broker).await,
        Verb::Replay(command) => replay::run(&command, &broker).await,
        Verb::Discard(command) => discard::run(&command, &broker).await,
        Verb::Trail(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Writes bytes as they are; `false`: the reader went away.
fn bytes(bytes: &[u8]) -> std::io::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a sender chose, without anything that moves a terminal's cursor.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
