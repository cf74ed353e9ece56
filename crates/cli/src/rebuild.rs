//! `wegweiser rebuild`: the records that a stream makes, beside those that are there.
//!
//! Messages go the receiver's way (the same reading, the same statements) into shadow tables, which
//! are compared with the real ones. Promises: exit 0 when both say the same, 2 when they differ;
//! the real table is not written unless `--insert-missing` says so, which adds rows, changes none
//! and is audited. It may be cut at any time and run again. Memory: one batch.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::{Broker, RereadMessage};
use clap::Args;
use protocol::{DeviceSubject, Event, MessageKey, UnixMillis, decode};
use serde_json::json;
use storage::{
    AuditEntry, Difference, Discrepancy, HeartbeatWrite, OfflineRule, RealtimeBody, RealtimeWrite,
    Records, Shadow,
};

use crate::dlq::{Progress, time};
use crate::environment::{self, INBOUND};
use crate::output::{self, Table, TableFormat};
use crate::who::who;

const EXIT_DIFFERENT: u8 = 2;
/// As many as a receiver writes at one time.
const BATCH_MESSAGES: usize = 500;
/// The default of the receiver; the comparison does not look at what follows from it.
const RULE: OfflineRule = OfflineRule { silence: Duration::from_secs(120), missed_heartbeats: 3 };

/// Rebuilds records from a stream beside the real ones, and shows the difference.
#[derive(Args, Debug)]
pub(crate) struct RebuildCommand {
    /// MONITORING, RESPONSES or HEARTBEATS.
    #[arg(long)]
    stream: String,
    /// From when on: RFC 3339, or an age such as 90s, 30m, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: UnixMillis,
    /// Add the rows that are missing to the real table; noted in the audit log.
    #[arg(long)]
    insert_missing: bool,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

/// What was read.
#[derive(Default)]
struct Read {
    messages: u64,
    rejected: u64,
    first: Option<UnixMillis>,
    last: Option<UnixMillis>,
}

pub(crate) async fn run(command: &RebuildCommand) -> anyhow::Result<ExitCode> {
    let (broker, records) = (environment::broker().await?, environment::records()?);
    let stream = command.stream.as_str();
    let shadow = records.shadow(stream).await.context("making the shadow tables")?;
    let Some(mut shadow) = shadow else {
        bail!("--stream {stream}: it makes no records; give MONITORING, RESPONSES or HEARTBEATS");
    };
    let read = project(&broker, &mut shadow, stream, command.since).await?;
    // What lies before the first message has left the stream, and what follows the last is not read.
    let since = read.first.map_or(command.since, |first| first.max(command.since));
    let until = read.last.unwrap_or(since);
    let compared = shadow.compare(since, until).await.context("comparing")?;
    let added = if command.insert_missing && compared.missing.rows > 0 {
        Some(insert(&records, &shadow, stream, since, compared.missing.rows).await?)
    } else {
        None
    };
    shadow.remove().await.context("removing the shadow tables")?;
    show(command, &read, &compared, added)?;
    let left = compared.different.rows + compared.extra.rows;
    let all_added = added.is_some_and(|added| i64::try_from(added) == Ok(compared.missing.rows));
    let same = compared.is_none() || (all_added && left == 0);
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DIFFERENT) })
}

/// Reads the stream up to where its writer has settled everything, into the shadow.
async fn project(
    broker: &Broker,
    shadow: &mut Shadow,
    stream: &str,
    since: UnixMillis,
) -> anyhow::Result<Read> {
    let looking = || format!("looking at {stream}");
    let (_, consumer, _) =
        INBOUND.into_iter().find(|inbound| inbound.0 == stream).with_context(looking)?;
    let writer = broker.consumer_state(stream, consumer).await.with_context(looking)?;
    let mut messages =
        broker.reread(stream, since, writer.settled_until()).await.with_context(looking)?;
    let progress = Progress::start("rebuild", Some(messages.total()));
    let mut read = Read::default();
    loop {
        let batch = messages.next(BATCH_MESSAGES).await.with_context(looking)?;
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { break };
        read.first = read.first.or(Some(first.taken));
        read.last = Some(last.taken);
        read.messages += u64::try_from(batch.len())?;
        read.rejected += write(shadow, stream, &batch).await.context("writing the shadow")?;
        progress.add(batch.len());
    }
    progress.end();
    Ok(read)
}

/// Writes a batch; returns how many make no record, as they made none for the receiver.
async fn write(
    shadow: &mut Shadow,
    stream: &str,
    batch: &[RereadMessage],
) -> Result<u64, storage::Unavailable> {
    let mut events = Vec::with_capacity(batch.len());
    for message in batch {
        let Ok(subject) = message.subject.parse::<DeviceSubject>() else { continue };
        let Ok((event, enveloped)) = decode(&subject, &message.payload, message.taken) else {
            continue;
        };
        let id = message.id.clone().or(enveloped);
        events.push((message, event, MessageKey::of(id, stream, message.sequence, message.taken)));
    }
    let (mut rows, mut beats) = (Vec::new(), Vec::new());
    for (message, event, key) in &events {
        let received = message.taken;
        let body = match event {
            Event::Monitoring(report) if stream == "MONITORING" => RealtimeBody::Monitoring(report),
            Event::Response(response) if stream == "RESPONSES" => RealtimeBody::Response(response),
            Event::Heartbeat(heartbeat) if stream == "HEARTBEATS" => {
                let number = message.id.as_ref().and_then(|id| id.number("heartbeat"));
                beats.push(HeartbeatWrite { heartbeat, number, received });
                continue;
            }
            _ => continue,
        };
        rows.push(RealtimeWrite { body, key: key.clone(), received });
    }
    let mut written = shadow.write_realtime(&rows).await?;
    written.extend(shadow.write_heartbeats(&beats, &RULE).await?);
    let written = written.iter().filter(|written| written.is_ok()).count();
    Ok(u64::try_from(batch.len() - written).unwrap_or_default())
}

/// Adds what is missing, with a note before and after.
async fn insert(
    records: &Records,
    shadow: &Shadow,
    stream: &str,
    since: UnixMillis,
    missing: i64,
) -> anyhow::Result<u64> {
    let who = who()?;
    let note = |detail| AuditEntry {
        who: who.clone(),
        action: "rebuild insert",
        object: format!("{stream} since {}", since.get()),
        detail,
    };
    let intention = note(json!({ "outcome": "inserting", "rows": missing }));
    records.audit(&[intention]).await.context("writing the audit log; nothing was changed")?;
    let added = shadow.insert_missing().await.context("adding what is missing")?;
    let fact = note(json!({ "outcome": "inserted", "rows": added }));
    records.audit(&[fact]).await.context("writing the audit log after the rows were added")?;
    Ok(added)
}

fn show(
    command: &RebuildCommand,
    read: &Read,
    compared: &Discrepancy,
    added: Option<u64>,
) -> anyhow::Result<()> {
    if command.output == TableFormat::Json {
        return output::json(&json!({
            "stream": command.stream,
            "since": read.first,
            "until": read.last,
            "messages": read.messages,
            "rejected": read.rejected,
            "difference": compared,
            "inserted": added,
        }));
    }
    output::text(&format!(
        "{}: {} messages, {} of them make no record; {} rows rebuilt",
        command.stream, read.messages, read.rejected, compared.rebuilt
    ))?;
    let sorts: [(&str, &Difference); 3] = [
        ("missing in the table", &compared.missing),
        ("different in the table", &compared.different),
        ("only in the table", &compared.extra),
    ];
    let mut table = Table::new(&["ROWS", "ARE", "SUCH AS"]);
    for (what, difference) in sorts {
        let example = difference.examples.first().cloned().unwrap_or_default();
        table.row(vec![difference.rows.to_string(), what.to_owned(), example]);
    }
    output::text(&table.render())?;
    if let Some(added) = added {
        output::text(&format!("{added} rows added"))?;
    }
    Ok(())
}
