//! `wegweiser audit`: who changed what, when, and what came of it.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use protocol::{DeviceId, TenantId, UnixMillis};
use serde_json::Value;
use storage::AuditFilter;

use crate::clock::exact;
use crate::dlq::{harmless, time};
use crate::environment;
use crate::output::{self, Table, TableFormat};

const LIMIT_ROWS: u32 = 50;
const LIMIT_ROWS_MAX: i64 = 100_000;

/// Shows the audit log, newest first.
#[derive(Args, Debug)]
pub(crate) struct AuditCommand {
    /// Only about this tenant (UUID) and its devices.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Only about this device (UUID).
    #[arg(long)]
    device: Option<DeviceId>,
    /// Only actions that begin so, such as "device" or "tenant suspend".
    #[arg(long, default_value = "", value_name = "WORDS", hide_default_value = true)]
    action: String,
    /// Only from this time on: RFC 3339, or an age such as 90s, 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<UnixMillis>,
    /// Most rows.
    #[arg(long, default_value_t = LIMIT_ROWS, value_parser = clap::value_parser!(u32).range(1..=LIMIT_ROWS_MAX))]
    limit: u32,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

pub(crate) async fn run(command: &AuditCommand) -> anyhow::Result<ExitCode> {
    let filter = AuditFilter {
        action: &command.action,
        object: None,
        tenant: command.tenant,
        device: command.device,
        since: command.since,
        before: None,
        limit: command.limit,
    };
    let rows = environment::records()?.audit_rows(filter).await.context("reading the audit log")?;
    if command.output == TableFormat::Json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["AT", "WHO", "ACTION", "OBJECT", "OUTCOME", "DETAIL"]);
    for row in &rows {
        let mut detail = row.detail.clone();
        let outcome = detail.as_object_mut().and_then(|detail| detail.remove("outcome"));
        let outcome = outcome.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        table.row(vec![
            exact(row.at),
            harmless(&row.who),
            row.action.clone(),
            harmless(&row.object),
            outcome,
            harmless(&detail.to_string()),
        ]);
    }
    output::text(&table.render())?;
    Ok(ExitCode::SUCCESS)
}
