//! `wegweiser device add|list|show|revoke|rotate|label`: devices and their credentials.
//!
//! Promises: a credential is in the registry before it leaves the house, so that none is forgotten
//! when its device is shut out; credentials files have mode 0600 and are never written over; a
//! device belongs to one tenant, since the id alone names its commands. Every change is in the audit
//! log.

mod add;
pub(crate) mod enroll_token;
mod issue;
pub(crate) mod label;
mod list;
mod revoke;
mod rotate;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Devices and their credentials.
#[derive(Debug, Args)]
pub(crate) struct DeviceCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Register a device and issue its credentials, or many from a file; prints their UUIDs.
    Add(add::Add),
    /// List registered devices.
    List(list::List),
    /// Show one device and every credential that it was given.
    Show(show::Show),
    /// Shut a device out for good: its connection ends, and all its credentials are refused.
    Revoke(revoke::Revoke),
    /// Issue new credentials and refuse the old ones; lets a revoked device in again.
    Rotate(rotate::Rotate),
    /// Set or unset labels.
    Label(label::LabelCommand),
}

pub(crate) async fn run(command: DeviceCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Add(command) => add::run(&command).await,
        Verb::List(command) => list::run(&command).await,
        Verb::Show(command) => show::run(&command).await,
        Verb::Revoke(command) => revoke::run(&command).await,
        Verb::Rotate(command) => rotate::run(&command).await,
        Verb::Label(command) => label::run(command).await,
    }
}
