//! `wegweiser dlq stats`: how many letters, of what, since when.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use broker::Broker;
use broker::dead_letters::LetterCount;
use clap::Args;
use protocol::UnixMillis;
use serde::Serialize;

use super::harmless;
use super::selection::Filters;
use crate::clock::exact;
use crate::output::{self, Table, TableFormat};

/// Counts letters.
#[derive(Args, Debug)]
pub(crate) struct StatsCommand {
    #[command(flatten)]
    filters: Filters,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

#[derive(Serialize)]
struct Stats {
    letters: u64,
    oldest_ms: Option<i64>,
    newest_ms: Option<i64>,
    reasons: Vec<ReasonCount>,
    tenants: Vec<TenantCount>,
}

#[derive(Serialize)]
struct ReasonCount {
    stream: String,
    reason: String,
    letters: u64,
}

#[derive(Serialize)]
struct TenantCount {
    tenant: String,
    letters: u64,
}

pub(crate) async fn run(command: &StatsCommand, broker: &Broker) -> anyhow::Result<ExitCode> {
    let filter = command.filters.read()?;
    if filter.has_time() {
        bail!(
            "stats are counted by the server, which knows no time: leave --since and --until out"
        );
    }
    let counts = broker.dead_letter_counts(&filter).await.context("counting dead letters")?;
    let span = broker.dead_letter_span(&filter).await.context("looking at the dead letters")?;
    let stats = stats(&counts, span);
    match command.output {
        TableFormat::Json => output::json(&stats)?,
        TableFormat::Table => output::text(&text(&stats))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn stats(counts: &[LetterCount], span: Option<(UnixMillis, UnixMillis)>) -> Stats {
    let mut reasons: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut tenants: BTreeMap<&str, u64> = BTreeMap::new();
    for count in counts {
        *reasons.entry((&count.stream, &count.reason)).or_default() += count.letters;
        *tenants.entry(&count.tenant).or_default() += count.letters;
    }
    let reason = |((stream, reason), letters): (&(&str, &str), &u64)| ReasonCount {
        stream: (*stream).to_owned(),
        reason: (*reason).to_owned(),
        letters: *letters,
    };
    let tenant = |(tenant, letters): (&&str, &u64)| TenantCount {
        tenant: (*tenant).to_owned(),
        letters: *letters,
    };
    Stats {
        letters: counts.iter().map(|count| count.letters).sum(),
        oldest_ms: span.map(|(oldest, _)| oldest.get()),
        newest_ms: span.map(|(_, newest)| newest.get()),
        reasons: reasons.iter().map(reason).collect(),
        tenants: tenants.iter().map(tenant).collect(),
    }
}

fn text(stats: &Stats) -> String {
    let (Some(oldest), Some(newest)) = (stats.oldest_ms, stats.newest_ms) else {
        return "no dead letters".to_owned();
    };
    let mut reasons = Table::new(&["STREAM", "REASON", "LETTERS"]);
    for count in &stats.reasons {
        let (stream, reason) = (harmless(&count.stream), harmless(&count.reason));
        reasons.row(vec![stream, reason, count.letters.to_string()]);
    }
    let mut tenants = Table::new(&["TENANT", "LETTERS"]);
    for count in &stats.tenants {
        tenants.row(vec![harmless(&count.tenant), count.letters.to_string()]);
    }
    let at = |milliseconds| exact(UnixMillis::new(milliseconds));
    format!(
        "{}\n\n{}\n\n{} letters, the oldest of {}, the newest of {}",
        reasons.render(),
        tenants.render(),
        stats.letters,
        at(oldest),
        at(newest)
    )
}
