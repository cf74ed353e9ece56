//! `wegweiser device list`: what operators registered, whether it ever reported or not.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use protocol::TenantId;
use storage::{DeviceFilter, DeviceState};

use crate::clock::exact;
use crate::environment;
use crate::output::{self, Colour, Table, TableFormat, coloured};

const LIMIT_ROWS: u32 = 1_000;
const LIMIT_ROWS_MAX: i64 = 1_000_000;

#[derive(Debug, Args)]
pub(super) struct List {
    /// Of this tenant only (UUID).
    #[arg(long)]
    tenant: Option<TenantId>,
    /// In this state only.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Most rows.
    #[arg(long, default_value_t = LIMIT_ROWS, value_parser = clap::value_parser!(u32).range(1..=LIMIT_ROWS_MAX))]
    limit: u32,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// It may use the broker.
    Active,
    /// Its credentials are refused.
    Revoked,
}

pub(super) async fn run(command: &List) -> anyhow::Result<ExitCode> {
    let state = command.state.map(|state| match state {
        State::Active => DeviceState::Active,
        State::Revoked => DeviceState::Revoked,
    });
    let filter = DeviceFilter { tenant: command.tenant, state };
    let devices = environment::records()?.registered_devices(filter, command.limit).await;
    let devices = devices.context("reading the registry")?;
    if command.output == TableFormat::Json {
        output::json(&devices)?;
        return Ok(ExitCode::SUCCESS);
    }
    let headings = ["TENANT", "DEVICE", "NAME", "ROLE", "STATE", "ISSUED", "ENDS"];
    let mut table = Table::new(&headings);
    let time = |at: Option<_>| at.map_or_else(|| "-".to_owned(), exact);
    for device in &devices {
        table.row(vec![
            device.tenant.to_string(),
            device.device.to_string(),
            device.name.clone(),
            device.role.clone(),
            word(device.state),
            time(device.issued_at),
            time(device.expires_at),
        ]);
    }
    output::text(&table.render())?;
    Ok(ExitCode::SUCCESS)
}

/// The state as a word, in colour.
pub(super) fn word(state: DeviceState) -> String {
    let colour = match state {
        DeviceState::Active => Colour::Green,
        DeviceState::Revoked => Colour::Red,
    };
    coloured(state.as_str(), colour)
}
