//! The trail that replay and discard leave in the audit log, and `wegweiser dlq trail` to read it.
//!
//! Promises: what is about to be done is in the log before it is done, and what came of it before
//! the letter goes. A run that is killed leaves an intention without a result, never a change
//! without a word.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::dead_letters::{Letter, STREAM};
use clap::Args;
use protocol::headers;
use serde_json::{Value, json};
use storage::{AuditEntry, AuditFilter, Records};

use super::harmless;
use crate::clock::exact;
use crate::output::{self, Table, TableFormat};
use crate::{environment, who};

const LIMIT_ROWS: u32 = 50;
const LIMIT_ROWS_MAX: i64 = 100_000;
/// What the actions of these verbs begin with.
const ACTIONS: &str = "dlq ";

/// Writes what one verb does.
pub(crate) struct Trail {
    records: Records,
    who: String,
    action: &'static str,
}

impl Trail {
    /// Finds out who it is.
    pub(crate) fn begin(records: &Records, action: &'static str) -> anyhow::Result<Self> {
        Ok(Self { records: records.clone(), who: who::who()?, action })
    }

    /// Adds one row a letter.
    pub(crate) async fn note(&self, facts: Vec<(&Letter, Value)>) -> anyhow::Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        let entry = |(letter, detail): (&Letter, Value)| AuditEntry {
            who: self.who.clone(),
            action: self.action,
            object: object(letter.sequence),
            detail,
        };
        let entries: Vec<AuditEntry> = facts.into_iter().map(entry).collect();
        let noted = self.records.audit(&entries).await;
        noted.context("writing the audit log; without it nothing is changed, run it again later")
    }
}

fn object(sequence: u64) -> String {
    format!("{STREAM} {sequence}")
}

/// What the log keeps of a letter: enough to find its original, never the payload.
pub(crate) fn described(letter: &Letter, outcome: &str) -> Value {
    json!({
        "outcome": outcome,
        "subject": letter.header(headers::SUBJECT),
        "tenant": letter.tenant(),
        "device": letter.device(),
        "stream": letter.stream(),
        "sequence": letter.origin_sequence(),
        "message_id": letter.header(headers::MESSAGE_ID),
        "parked_for": letter.reason(),
        "payload_bytes": letter.payload.len(),
    })
}

/// Shows the trail.
#[derive(Args, Debug)]
pub(crate) struct TrailCommand {
    /// Only of this letter.
    #[arg(value_name = "SEQ")]
    sequence: Option<u64>,
    /// Most rows.
    #[arg(long, default_value_t = LIMIT_ROWS, value_parser = clap::value_parser!(u32).range(1..=LIMIT_ROWS_MAX))]
    limit: u32,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

pub(crate) async fn run(command: &TrailCommand) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    let object = command.sequence.map(object);
    let object = object.as_deref();
    let filter =
        AuditFilter { action: ACTIONS, object, limit: command.limit, ..AuditFilter::default() };
    let rows = records.audit_rows(filter).await;
    let rows = rows.context("reading the audit log")?;
    if command.output == TableFormat::Json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["AT", "WHO", "ACTION", "LETTER", "OUTCOME", "DETAIL"]);
    for row in &rows {
        let mut detail = row.detail.clone();
        let outcome = detail.as_object_mut().and_then(|detail| detail.remove("outcome"));
        let outcome = outcome.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        table.row(vec![
            exact(row.at),
            harmless(&row.who),
            row.action.clone(),
            row.object.clone(),
            outcome,
            detail.to_string(),
        ]);
    }
    output::text(&table.render())?;
    Ok(ExitCode::SUCCESS)
}
