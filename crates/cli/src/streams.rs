//! `wegweiser streams plan|apply|status`: streams as code.
//!
//! Promises: exit code 0 when files and broker agree, 2 when they differ, 1 on an error, so that a
//! pipeline can gate on it. Refuses: to change anything but by `apply`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use broker::streams::{self, Desired, Destructive, Health, Status, StreamStatus};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

/// Exit code for "files and broker differ".
const DIFFERENT: u8 = 2;
/// A stream this full is marked, in percent.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Compares the stream files with the broker, or makes the broker follow them.
#[derive(Debug, Args)]
pub(crate) struct StreamsCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows what `apply` would change, field by field; exits 2 when there is something.
    Plan(Files),
    /// Makes the broker what the files say; refuses what would lose data.
    Apply {
        #[command(flatten)]
        files: Files,
        /// Make changes that lose data, too: look at `plan` first, it says what.
        #[arg(long)]
        allow_destructive: bool,
    },
    /// Shows what each stream and consumer holds; exits 2 when something is not as declared.
    Status(Files),
}

#[derive(Debug, Args)]
struct Files {
    /// Directory of the stream files.
    #[arg(long, value_name = "DIRECTORY", env = streams::STREAMS_DIR.name,
          default_value = streams::STREAMS_DIR.default.unwrap_or_default())]
    dir: PathBuf,
    /// Copies of each message in a cluster; replaces num_replicas of the files.
    #[arg(long, value_name = "COPIES", env = streams::STREAM_REPLICAS.name,
          value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: Option<u8>,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs one verb; the exit code says whether files and broker agree.
pub(crate) async fn run(command: StreamsCommand, broker: &Broker) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Plan(files) => plan(&files, broker).await,
        Verb::Apply { files, allow_destructive } => apply(&files, allow_destructive, broker).await,
        Verb::Status(files) => status(&files, broker).await,
    }
}

async fn plan(files: &Files, broker: &Broker) -> anyhow::Result<ExitCode> {
    let desired = load(files)?;
    let plan = streams::plan(broker, &desired).await.context("planning the streams")?;
    show(files.output, &plan, || plan.to_string())?;
    Ok(exit_code(plan.is_empty()))
}

async fn apply(
    files: &Files,
    allow_destructive: bool,
    broker: &Broker,
) -> anyhow::Result<ExitCode> {
    let desired = load(files)?;
    let destructive = if allow_destructive { Destructive::Allow } else { Destructive::Refuse };
    let applied =
        streams::apply(broker, &desired, destructive).await.context("applying the streams")?;
    show(files.output, &applied.plan, || {
        if applied.plan.is_empty() {
            return applied.plan.to_string();
        }
        format!("{}\napplied; files and broker agree", applied.plan)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn status(files: &Files, broker: &Broker) -> anyhow::Result<ExitCode> {
    let desired = load(files)?;
    let status = streams::status(broker, &desired).await.context("looking at the streams")?;
    show(files.output, &status, || table(&status))?;
    Ok(exit_code(status.plan.is_empty()))
}

fn load(files: &Files) -> anyhow::Result<Desired> {
    streams::load(&files.dir, files.replicas).context("reading the stream files")
}

fn exit_code(in_sync: bool) -> ExitCode {
    if in_sync { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) }
}

fn show<T: Serialize>(
    output: Output,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let text = match output {
        Output::Text => text(),
        Output::Json => serde_json::to_string_pretty(value).context("writing JSON")?,
    };
    writeln!(std::io::stdout().lock(), "{text}").context("writing to standard output")
}

fn table(status: &Status) -> String {
    let mut lines = vec![format!(
        "{:<28} {:<8} {:>12} {:>10} {:>6}  {:>10} {:>10} {:>8}",
        "", "", "messages", "MiB", "full", "waiting", "unacked", "again"
    )];
    for stream in &status.streams {
        lines.push(stream_line(stream));
        for consumer in &stream.consumers {
            let paused = if consumer.paused { "  paused" } else { "" };
            lines.push(format!(
                "{:<28} {:<8} {:>12} {:>10} {:>6}  {:>10} {:>10} {:>8}{paused}",
                format!("  {}", consumer.name),
                word(consumer.health),
                "",
                "",
                "",
                consumer.pending,
                consumer.ack_pending,
                consumer.redelivered,
            ));
        }
    }
    if !status.plan.is_empty() || !status.plan.notes.is_empty() {
        lines.push(status.plan.to_string());
    }
    lines.join("\n")
}

fn stream_line(stream: &StreamStatus) -> String {
    let percent = stream.percent_full();
    let warning = if percent >= NEARLY_FULL_PERCENT { "  nearly full" } else { "" };
    format!(
        "{:<28} {:<8} {:>12} {:>10} {:>5}%{warning}",
        stream.name,
        word(stream.health),
        stream.messages,
        stream.bytes >> 20,
        percent,
    )
}

const fn word(health: Health) -> &'static str {
    match health {
        Health::InSync => "in sync",
        Health::Differs => "differs",
        Health::Missing => "missing",
    }
}
