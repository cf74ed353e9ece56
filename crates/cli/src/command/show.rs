//! `wegweiser command show`: one command, its way, its output and its result.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use protocol::CommandId;
use serde::Serialize;
use serde_json::Value;
use storage::{CommandOutput, CommandRow, Records, Transition};

use super::list::state;
use super::tell::{tame, word};
use crate::clock::exact;
use crate::dlq::harmless;
use crate::environment;
use crate::output::{self, Format, Table};

/// Pieces of output that are read at one time.
const PIECES: u32 = 256;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The command (UUID).
    command: CommandId,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    command: CommandRow,
    transitions: Vec<Transition>,
    output: Vec<CommandOutput>,
    result: Option<Value>,
}

pub(super) async fn run(command: &Show) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    let id = command.command;
    let found = records.command(id).await.context("reading the command")?;
    let Some(found) = found else {
        bail!(
            "command {id} is unknown, or was removed long after its end; see: wegweiser command \
             list, wegweiser audit --action command"
        );
    };
    let shown = Shown {
        transitions: records.command_transitions(id).await.context("reading its way")?,
        output: all_output(&records, &found).await?,
        result: records.command_end(&found).await.context("reading its result")?.result,
        command: found,
    };
    match command.output {
        Format::Json => output::json(&shown)?,
        Format::Text => output::text(&render(&shown))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Bounded by what receivers keep of one command.
async fn all_output(records: &Records, of: &CommandRow) -> anyhow::Result<Vec<CommandOutput>> {
    let mut all: Vec<CommandOutput> = Vec::new();
    loop {
        let after = all.last().map_or(-1, |last| last.number);
        let more = records.command_output(of, after, PIECES).await.context("reading its output")?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}

fn render(shown: &Shown) -> String {
    let Shown { command, transitions, output, result } = shown;
    let mut text = format!(
        "command    {}\ndevice     {}\ntenant     {}\nkind       {} {}\nrequester  {}\n\
         batch      {}\nexpires    {}\ntimeout    {} ms\nstate      {}\n",
        command.command,
        command.device,
        command.tenant,
        command.kind,
        command.arguments,
        harmless(&command.requester),
        command.batch,
        exact(command.expires_at),
        command.timeout_ms,
        state(command),
    );
    if let Some(code) = &command.reason_code {
        let words = command.reason_text.as_deref().unwrap_or_default();
        text.push_str(&format!("reason     {code}: {}\n", harmless(words)));
    }
    let mut table = Table::new(&["STATE", "AT", "BY THE DEVICE'S CLOCK", "BY"]);
    for reached in transitions {
        table.row(vec![
            word(reached.state),
            exact(reached.at),
            reached.device_at.map_or_else(|| "-".to_owned(), exact),
            harmless(&reached.by),
        ]);
    }
    text.push_str(&format!("\n{}", table.render()));
    if !output.is_empty() {
        let said: String = output.iter().map(|piece| piece.chunk.as_str()).collect();
        text.push_str(&format!("\n\noutput\n{}", tame(said.trim_end())));
    }
    if command.answers_cut {
        text.push_str("\n[its device answered more than is kept; the rest was left out]");
    }
    if let Some(result) = result.as_ref().filter(|result| !result.is_null()) {
        let result = serde_json::to_string_pretty(result).unwrap_or_default();
        text.push_str(&format!("\n\nresult\n{result}"));
    }
    text
}
