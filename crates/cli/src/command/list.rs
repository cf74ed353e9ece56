//! `wegweiser command list`: commands, the newest first.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use protocol::{DeviceId, TenantId, UnixMillis};
use storage::{CommandFilter, CommandRow, CommandState};
use uuid::Uuid;

use super::tell::word;
use crate::clock::age;
use crate::dlq::harmless;
use crate::environment;
use crate::output::{self, Table, TableFormat};

const LIMIT_ROWS: u32 = 50;
const LIMIT_ROWS_MAX: i64 = 100_000;

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only to devices of this tenant (UUID).
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only to this device (UUID).
    #[arg(long)]
    device: Option<DeviceId>,
    /// Only in this state: queued, delivered, running, succeeded, failed, timed_out, expired,
    /// cancelled or rejected.
    #[arg(long)]
    state: Option<CommandState>,
    /// Only those that were sent together under this id.
    #[arg(long)]
    batch: Option<Uuid>,
    /// Only of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Most rows.
    #[arg(long, default_value_t = LIMIT_ROWS, value_parser = clap::value_parser!(u32).range(1..=LIMIT_ROWS_MAX))]
    limit: u32,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

pub(super) async fn run(command: &List) -> anyhow::Result<ExitCode> {
    let filter = CommandFilter {
        tenant: command.tenant,
        device: command.device,
        state: command.state,
        batch: command.batch,
        kind: command.kind.as_deref(),
        before: None,
        limit: command.limit,
    };
    let rows = environment::records()?.commands(filter).await.context("reading the commands")?;
    if command.output == TableFormat::Json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = UnixMillis::now();
    let mut table =
        Table::new(&["COMMAND", "DEVICE", "KIND", "STATE", "AGE", "REASON", "REQUESTER"]);
    for row in &rows {
        table.row(vec![
            row.command.to_string(),
            row.device.to_string(),
            row.kind.clone(),
            state(row),
            age(row.created_at, now),
            row.reason_code.clone().unwrap_or_else(|| "-".to_owned()),
            harmless(&row.requester),
        ]);
    }
    output::text(&table.render())?;
    Ok(ExitCode::SUCCESS)
}

/// The state, and whether a command waits to be sent or for its device.
pub(super) fn state(row: &CommandRow) -> String {
    let more = match row.state {
        CommandState::Queued if row.published_at.is_none() => " (not sent yet)",
        CommandState::Queued => " (waits for its device)",
        _ if row.assumed => " (assumed)",
        _ => "",
    };
    format!("{}{more}", word(row.state))
}
