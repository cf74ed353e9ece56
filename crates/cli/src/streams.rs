//! `wegweiser streams plan|apply|status`: streams as code.
//!
//! Promises: exit code 0 when files and broker agree, 2 when they differ, 1 on an error, so that a
//! pipeline can gate on it. Refuses: to change anything but by `apply`, and to lose data unless told.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use broker::streams::{
    self, ApplyError, ConsumerStatus, Desired, Destructive, Health, Status, StreamSettings,
    StreamStatus,
};
use clap::{Args, Subcommand};

use crate::environment;
use crate::output::{self, Colour, Format, Table};

/// Exit code for "files and broker differ".
const DIFFERENT: u8 = 2;
/// A stream this full is marked, in percent of its bytes.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Compares the stream files with the broker, or makes the broker follow them.
#[derive(Debug, Args)]
pub(crate) struct StreamsCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what `apply` would change, field by field; exits 2 when there is something.
    Plan(Files),
    /// Make the broker what the files say; refuses what would lose data.
    Apply {
        #[command(flatten)]
        files: Files,
        /// Make changes that lose data, too: look at `plan` first, it says what.
        #[arg(long)]
        allow_destructive: bool,
    },
    /// Show what each stream and consumer holds; exits 2 when something is not as declared.
    Status(Files),
}

#[derive(Debug, Args)]
struct Files {
    /// Directory of the stream files, in place of WEGWEISER_STREAMS_DIR.
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
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
    match files.output {
        Format::Text => output::text(&plan.to_string())?,
        Format::Json => output::json(&plan)?,
    }
    Ok(exit_code(plan.is_empty()))
}

async fn apply(
    files: &Files,
    allow_destructive: bool,
    broker: &Broker,
) -> anyhow::Result<ExitCode> {
    let desired = load(files)?;
    let destructive = if allow_destructive { Destructive::Allow } else { Destructive::Refuse };
    let applied = match streams::apply(broker, &desired, destructive).await {
        Ok(applied) => applied,
        Err(error) => {
            // The text of the error tells people the same.
            if let (Format::Json, ApplyError::Immutable(plan) | ApplyError::Destructive(plan)) =
                (files.output, &error)
            {
                output::json(plan)?;
            }
            return Err(error).context("applying the streams");
        }
    };
    match files.output {
        Format::Json => output::json(&applied.plan)?,
        Format::Text => {
            output::text(&applied.plan.to_string())?;
            if !applied.plan.is_empty() {
                output::text("applied: files and broker agree")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(files: &Files, broker: &Broker) -> anyhow::Result<ExitCode> {
    let desired = load(files)?;
    let status = streams::status(broker, &desired).await.context("looking at the streams")?;
    match files.output {
        Format::Text => output::text(&table(&status))?,
        Format::Json => output::json(&status)?,
    }
    Ok(exit_code(status.plan.is_empty()))
}

fn load(files: &Files) -> anyhow::Result<Desired> {
    let settings = environment::read(StreamSettings::read)?;
    let directory = files.dir.as_ref().unwrap_or(&settings.directory);
    streams::load(directory, settings.replicas).context("reading the stream files")
}

fn exit_code(in_sync: bool) -> ExitCode {
    if in_sync { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) }
}

fn table(status: &Status) -> String {
    let headings =
        ["STREAM", "CONSUMER", "STATE", "MESSAGES", "MIB", "FULL", "WAITING", "UNACKED", "AGAIN"];
    let mut table = Table::new(&headings);
    for stream in &status.streams {
        table.row(stream_row(stream));
        for consumer in &stream.consumers {
            table.row(consumer_row(consumer));
        }
    }
    let mut text = table.render();
    for note in &status.plan.notes {
        text.push_str(&format!("\n{note}"));
    }
    let different = status.plan.objects().len();
    if different > 0 {
        text.push_str(&format!("\n{different} not as declared: wegweiser streams plan shows how"));
    }
    text
}

fn stream_row(stream: &StreamStatus) -> Vec<String> {
    let percent = stream.percent_full();
    let full = format!("{percent}%");
    vec![
        stream.name.clone(),
        String::new(),
        state(stream.health),
        stream.messages.to_string(),
        (stream.bytes >> 20).to_string(),
        if percent >= NEARLY_FULL_PERCENT { output::coloured(&full, Colour::Red) } else { full },
    ]
}

fn consumer_row(consumer: &ConsumerStatus) -> Vec<String> {
    let mut row = vec![String::new(), consumer.name.clone()];
    row.push(match consumer.paused {
        true => output::coloured("paused", Colour::Yellow),
        false => state(consumer.health),
    });
    row.extend([String::new(), String::new(), String::new()]);
    for count in [consumer.pending, consumer.ack_pending, consumer.redelivered] {
        row.push(count.to_string());
    }
    row
}

fn state(health: Health) -> String {
    match health {
        Health::InSync => output::coloured("in sync", Colour::Green),
        Health::Differs => output::coloured("differs", Colour::Yellow),
        Health::Missing => output::coloured("missing", Colour::Red),
    }
}
