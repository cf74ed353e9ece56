//! `wegweiser tenant first-generation-commands`: whether commands may go to a tenant's agents of the
//! first generation.
//!
//! They believe whatever comes on their subject, so nobody sends them anything unless somebody who
//! is responsible for the tenant has said so, in the audit log.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use protocol::TenantId;

use crate::environment;
use crate::operation::{About, Operation};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct FirstGenerationCommands {
    /// The tenant (UUID).
    tenant: TenantId,
    /// Whether they may.
    #[arg(value_enum)]
    may: May,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum May {
    /// They may.
    Allow,
    /// They may not; what waits for such devices stays, and expires.
    Forbid,
}

pub(super) async fn run(command: &FirstGenerationCommands) -> anyhow::Result<ExitCode> {
    let (tenant, allow) = (command.tenant, command.may == May::Allow);
    let records = environment::records()?;
    let about = About::tenant(tenant).with("allow", allow);
    let operation =
        Operation::begin(&records, "tenant first-generation-commands", vec![about]).await?;
    let changed = records.allow_first_generation_commands(tenant, allow).await;
    operation.finish(changed.map_err(Into::into)).await?;
    let said = if allow { "may go" } else { "do not go" };
    output::text(&format!("commands {said} to first-generation agents of {tenant}"))?;
    Ok(ExitCode::SUCCESS)
}
