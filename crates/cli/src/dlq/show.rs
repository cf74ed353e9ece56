//! `wegweiser dlq show`: one letter, whole.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use broker::Broker;
use broker::dead_letters::Letter;
use clap::Args;
use serde_json::Value;

use super::{bytes, harmless};
use crate::clock::exact;
use crate::output;

/// Shows a letter.
#[derive(Args, Debug)]
pub(crate) struct ShowCommand {
    /// Its sequence, as `list` shows it.
    #[arg(value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    sequence: u64,
    /// Only the payload, byte for byte.
    #[arg(long)]
    raw: bool,
}

pub(crate) async fn run(command: &ShowCommand, broker: &Broker) -> anyhow::Result<ExitCode> {
    let found = broker.dead_letter(command.sequence).await.context("reading the letter")?;
    let Some(letter) = found else {
        bail!("there is no letter {}: see `wegweiser dlq list`", command.sequence);
    };
    if command.raw {
        bytes(&letter.payload)?;
    } else {
        output::text(&describe(&letter))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(letter: &Letter) -> String {
    let mut lines = vec![
        format!("letter {}, parked at {}", letter.sequence, exact(letter.parked)),
        format!("subject {}", harmless(&letter.subject)),
        String::new(),
    ];
    for (name, value) in &letter.headers {
        lines.push(format!("{}: {}", harmless(name), harmless(value)));
    }
    lines.push(String::new());
    lines.push(payload(letter));
    lines.join("\n")
}

fn payload(letter: &Letter) -> String {
    if letter.is_tombstone() {
        return "no payload: a tombstone, retention had removed the original".to_owned();
    }
    // Printing escapes control characters of JSON.
    if let Ok(value) = serde_json::from_slice::<Value>(&letter.payload)
        && let Ok(pretty) = serde_json::to_string_pretty(&value)
    {
        return pretty;
    }
    let text = String::from_utf8_lossy(&letter.payload);
    let lines: Vec<String> = text.lines().map(harmless).collect();
    format!("{} bytes, no JSON:\n{}", letter.payload.len(), lines.join("\n"))
}
