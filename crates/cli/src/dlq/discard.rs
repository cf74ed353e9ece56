//! `wegweiser dlq discard`: letters that nobody wants again.
//!
//! Promises: who discards what and why is in the audit log before the letter goes. Refuses: to
//! discard without a reason, and without a yes.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use anyhow::bail;
use broker::Broker;
use broker::dead_letters::Letter;
use clap::Args;
use serde_json::{Value, json};

use super::progress::Progress;
use super::removal;
use super::selection::Selection;
use super::tally::Tally;
use super::trail::{Trail, described};
use crate::environment;
use crate::output::{self, TableFormat};

/// Letters between two notes in the audit log.
const CHUNK_LETTERS_MAX: usize = 64;

/// Removes letters for good.
#[derive(Args, Debug)]
pub(crate) struct DiscardCommand {
    #[command(flatten)]
    selection: Selection,
    /// Why they are discarded, in words; kept in the audit log (--reason is the filter).
    #[arg(long, value_name = "WORDS", value_parser = words)]
    because: String,
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

pub(crate) async fn run(command: &DiscardCommand, broker: &Broker) -> anyhow::Result<ExitCode> {
    let mut foreseen = Tally::default();
    let mut walk = command.selection.walk(broker).await?;
    let mut look = walk.clone();
    while let Some(letters) = look.page().await? {
        for letter in &letters {
            foreseen.add("would be discarded", letter.stream());
            // No more than is agreed to, also when somebody removes some meanwhile.
            walk.end_at(letter.sequence);
        }
    }
    let total = foreseen.total();
    if command.dry_run || total == 0 {
        foreseen.print(command.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !command.yes && !agreed(total)? {
        output::note("nothing is discarded");
        return Ok(ExitCode::FAILURE);
    }
    let trail = Trail::begin(&environment::records()?, "dlq discard")?;
    let mut tally = Tally::default();
    let progress = Progress::start("discard", Some(total));
    while let Some(letters) = walk.page().await? {
        for letters in letters.chunks(CHUNK_LETTERS_MAX) {
            discard(broker, &trail, letters, &command.because).await?;
            for letter in letters {
                tally.add("discarded", letter.stream());
            }
            progress.add(letters.len());
        }
    }
    progress.end();
    tally.print(command.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn discard(
    broker: &Broker,
    trail: &Trail,
    letters: &[Letter],
    because: &str,
) -> anyhow::Result<()> {
    let intention = |letter| {
        let mut detail = described(letter, "discarding");
        detail["because"] = Value::from(because);
        (letter, detail)
    };
    trail.note(letters.iter().map(intention).collect()).await?;
    let sequences: Vec<u64> = letters.iter().map(|letter| letter.sequence).collect();
    removal::remove(broker, &sequences).await?;
    let result = |letter| (letter, json!({ "outcome": "discarded", "because": because }));
    trail.note(letters.iter().map(result).collect()).await
}

fn agreed(letters: u64) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to be asked: give --yes to discard {letters} letters");
    }
    output::note(&format!("discard {letters} letters for good? Type yes:"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why, in words".to_owned()),
        words => Ok(words.to_owned()),
    }
}
