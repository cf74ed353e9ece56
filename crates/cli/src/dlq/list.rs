//! `wegweiser dlq list`: one line a letter.

use std::process::ExitCode;

use broker::Broker;
use broker::dead_letters::Letter;
use clap::Args;
use protocol::headers;
use serde::Serialize;

use super::harmless;
use super::selection::{Filters, Walk};
use crate::clock::exact;
use crate::output::{self, Table, TableFormat};

const LIMIT_LETTERS: u64 = 100;
const LIMIT_LETTERS_MAX: u64 = 100_000;

/// Lists letters.
#[derive(Args, Debug)]
pub(crate) struct ListCommand {
    #[command(flatten)]
    filters: Filters,
    /// Most letters, the oldest first.
    #[arg(long, default_value_t = LIMIT_LETTERS, value_parser = clap::value_parser!(u64).range(1..=LIMIT_LETTERS_MAX))]
    limit: u64,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

/// A letter without its payload, for programs.
#[derive(Serialize)]
struct Row {
    sequence: u64,
    parked_ms: i64,
    stream: String,
    reason: String,
    tenant: String,
    device: String,
    attempts: Option<u64>,
    detail: String,
    origin_sequence: Option<u64>,
    origin_subject: String,
    message_id: Option<String>,
    tombstone: bool,
    payload_bytes: usize,
}

pub(crate) async fn run(command: &ListCommand, broker: &Broker) -> anyhow::Result<ExitCode> {
    let filter = command.filters.read()?;
    // One more than is shown tells whether there are more.
    let mut walk = Walk::of_filter(broker, filter, command.limit + 1).await?;
    let mut rows = Vec::new();
    while let Some(letters) = walk.page().await? {
        rows.extend(letters.iter().map(row));
    }
    let limit = usize::try_from(command.limit)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    match command.output {
        TableFormat::Json => output::json(&rows)?,
        TableFormat::Table => output::text(&table(&rows))?,
    }
    if more {
        output::note(&format!("there are more than {limit}; give a filter or --limit"));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(letter: &Letter) -> Row {
    let id = letter.header(headers::MESSAGE_ID);
    Row {
        sequence: letter.sequence,
        parked_ms: letter.parked.get(),
        stream: letter.stream().to_owned(),
        reason: letter.reason().to_owned(),
        tenant: letter.tenant().to_owned(),
        device: letter.device().to_owned(),
        attempts: letter.attempts(),
        detail: letter.header(headers::DETAIL).to_owned(),
        origin_sequence: letter.origin_sequence(),
        origin_subject: letter.header(headers::SUBJECT).to_owned(),
        message_id: (!id.is_empty()).then(|| id.to_owned()),
        tombstone: letter.is_tombstone(),
        payload_bytes: letter.payload.len(),
    }
}

fn table(rows: &[Row]) -> String {
    let headings =
        ["SEQ", "PARKED AT", "STREAM", "REASON", "TENANT", "DEVICE", "ATTEMPTS", "DETAIL"];
    let mut table = Table::new(&headings);
    for row in rows {
        let detail = harmless(&row.detail);
        table.row(vec![
            row.sequence.to_string(),
            exact(protocol::UnixMillis::new(row.parked_ms)),
            harmless(&row.stream),
            harmless(&row.reason),
            harmless(&row.tenant),
            harmless(&row.device),
            row.attempts.map_or_else(|| "-".to_owned(), |attempts| attempts.to_string()),
            if row.tombstone { format!("(tombstone) {detail}") } else { detail },
        ]);
    }
    table.render()
}
