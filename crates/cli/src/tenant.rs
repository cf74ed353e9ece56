//! `wegweiser tenant add|list|show|suspend|resume|remove`: customers on a running installation.
//!
//! Three places know a tenant. Its *file* says that it should exist and what it may use; the
//! *broker* holds its account, with who is shut out of it; the *registry* says whether it is
//! suspended and which devices it has. Promises: each verb brings all three along, needs no restart
//! or reload, can be repeated after it was cut off, and is in the audit log.

mod add;
mod census;
mod first_generation;
mod list;
mod remove;
mod show;
mod suspend;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Tenants: customers and what they may use.
#[derive(Debug, Args)]
pub(crate) struct TenantCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a tenant, or many from a file; prints their UUIDs.
    Add(add::Add),
    /// List tenants.
    List(list::List),
    /// Show one tenant: its state in the files, at the broker and in the registry.
    Show(show::Show),
    /// Shut a tenant out: its connections end and new ones are refused, until it is resumed.
    Suspend(suspend::Suspend),
    /// Let a suspended tenant in again, with the credentials that its devices have.
    Resume(suspend::Resume),
    /// Let commands go to a tenant's agents of the first generation, which check no signature.
    FirstGenerationCommands(first_generation::FirstGenerationCommands),
    /// Remove a tenant for good, with everything that is stored of it, and prove it.
    Remove(remove::Remove),
}

pub(crate) async fn run(command: TenantCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Add(command) => add::run(&command).await,
        Verb::List(command) => list::run(&command).await,
        Verb::Show(command) => show::run(&command).await,
        Verb::Suspend(command) => suspend::suspend(&command).await,
        Verb::Resume(command) => suspend::resume(&command).await,
        Verb::FirstGenerationCommands(command) => first_generation::run(&command).await,
        Verb::Remove(command) => remove::run(&command).await,
    }
}
