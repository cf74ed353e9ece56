//! `wegweiser command send|ping|list|show|cancel|kinds`: orders to devices, and what came of them.
//!
//! Promises: what is sent is in the outbox and in the audit log first, and is published whatever
//! becomes of this process; it is published from here too, so that it does not wait for a web
//! service. Exit codes say how it went: 0 all succeeded, 2 some did not, 3 a rollout was stopped.

mod cancel;
mod desk;
mod kinds;
mod list;
mod ping;
mod rollout;
mod selection;
mod send;
mod show;
mod tell;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Some commands did not succeed.
const EXIT_SOME_FAILED: u8 = 2;
/// Too many did not, so that the rest were not sent.
const EXIT_STOPPED: u8 = 3;

/// Orders to devices.
#[derive(Debug, Args)]
pub(crate) struct CommandCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send a command to devices, at once or a few at a time, and wait for what comes of it.
    Send(send::Send),
    /// Ask a device for an answer, again and again, and tell how long it takes.
    Ping(ping::Ping),
    /// List commands, the newest first.
    List(list::List),
    /// Show one command: its way, its output and its result.
    Show(show::Show),
    /// Take a command back, or end it where it runs.
    Cancel(cancel::Cancel),
    /// Show what can be ordered, with the JSON schema of each kind's arguments.
    Kinds(kinds::Kinds),
}

pub(crate) async fn run(command: CommandCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Send(command) => send::run(&command).await,
        Verb::Ping(command) => ping::run(&command).await,
        Verb::List(command) => list::run(&command).await,
        Verb::Show(command) => show::run(&command).await,
        Verb::Cancel(command) => cancel::run(&command).await,
        Verb::Kinds(command) => kinds::run(&command),
    }
}
