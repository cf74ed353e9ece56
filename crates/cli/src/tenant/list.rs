//! `wegweiser tenant list`: every tenant that a file declares or the registry knows.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use identity::AccountName;
use protocol::{TenantId, UnixMillis};
use serde::Serialize;
use storage::TenantState;

use crate::clock::exact;
use crate::office::Office;
use crate::output::{self, Colour, Table, TableFormat, coloured};

#[derive(Debug, Args)]
pub(super) struct List {
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

#[derive(Serialize)]
struct Row {
    tenant: TenantId,
    name: String,
    state: TenantState,
    /// Registered devices that are not revoked.
    devices: i64,
    /// Whether a file declares it.
    declared: bool,
    /// None: known by its file alone.
    created_at: Option<UnixMillis>,
}

pub(super) async fn run(command: &List) -> anyhow::Result<ExitCode> {
    let office = Office::open()?;
    let declared = office.declared()?;
    let mut rows = BTreeMap::new();
    for found in declared.tenants() {
        if let AccountName::Tenant(tenant) = found.account {
            let (name, state) = (found.name.clone(), TenantState::Active);
            let row = Row { tenant, name, state, devices: 0, declared: true, created_at: None };
            rows.insert(tenant, row);
        }
    }
    for found in office.records.tenants().await.context("reading the registry")? {
        let row = Row {
            tenant: found.tenant,
            name: found.name,
            state: found.state,
            devices: found.devices,
            declared: rows.contains_key(&found.tenant),
            created_at: Some(found.created_at),
        };
        rows.insert(row.tenant, row);
    }
    if command.output == TableFormat::Json {
        output::json(&rows.into_values().collect::<Vec<Row>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["TENANT", "NAME", "STATE", "DEVICES", "FILE", "ADDED"]);
    for row in rows.values() {
        table.row(vec![
            row.tenant.to_string(),
            row.name.clone(),
            state(row.state),
            row.devices.to_string(),
            if row.declared { "yes" } else { "none" }.to_owned(),
            row.created_at.map_or_else(|| "-".to_owned(), exact),
        ]);
    }
    output::text(&table.render())?;
    Ok(ExitCode::SUCCESS)
}

/// The state as a word, in colour.
pub(super) fn state(state: TenantState) -> String {
    let colour = match state {
        TenantState::Active => Colour::Green,
        TenantState::Suspended => Colour::Red,
    };
    coloured(state.as_str(), colour)
}
