//! `wegweiser command kinds`: what can be ordered.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use protocol::CommandKind;
use serde_json::{Value, json};

use crate::output::{self, Table, TableFormat};

#[derive(Debug, Args)]
pub(super) struct Kinds {
    /// Only this kind, with the JSON schema of its arguments.
    kind: Option<String>,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

pub(super) fn run(command: &Kinds) -> anyhow::Result<ExitCode> {
    let kinds = match &command.kind {
        None => CommandKind::ALL.to_vec(),
        Some(name) => match CommandKind::of(name) {
            Some(kind) => vec![kind],
            None => bail!("kind {name:?} is unknown; see: wegweiser command kinds"),
        },
    };
    if command.output == TableFormat::Json {
        output::json(&kinds.into_iter().map(described).collect::<Vec<Value>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["KIND", "TIMEOUT", "FIRST GENERATION", "DOES"]);
    for kind in &kinds {
        table.row(vec![
            kind.name().to_owned(),
            format!("{} s", kind.default_timeout_ms() / 1_000),
            kind.first_generation().unwrap_or("-").to_owned(),
            kind.summary().to_owned(),
        ]);
    }
    output::text(&table.render())?;
    if command.kind.is_some() {
        for kind in kinds {
            output::text("")?;
            output::json(&kind.schema())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn described(kind: CommandKind) -> Value {
    json!({
        "kind": kind.name(),
        "does": kind.summary(),
        "timeout_ms": kind.default_timeout_ms(),
        "first_generation": kind.first_generation(),
        "arguments": kind.schema(),
    })
}
