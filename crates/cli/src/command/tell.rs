//! What came of commands, as they end: for people a line each and a table at the end, with a bar on
//! a terminal; for programs a line of JSON each.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use serde_json::{Value, json};
use storage::{CommandOutput, CommandRow, CommandState};
use uuid::Uuid;

use crate::dlq::{Progress, harmless};
use crate::output::{self, Colour, Table, TableFormat, coloured};

/// Longest result of one of many that is shown to people, in characters.
const RESULT_SHOWN_CHARS: usize = 100;

/// Tells of ends.
pub(super) struct Teller {
    format: TableFormat,
    is_one: bool,
    /// None where there is one command: what it says is on the screen.
    progress: Option<Progress>,
}

impl Teller {
    pub(super) fn new(format: TableFormat, commands: usize) -> Self {
        let (total, is_one) = (u64::try_from(commands).ok(), commands == 1);
        let progress = (!is_one).then(|| Progress::start("command", total));
        Self { format, is_one, progress }
    }

    /// Output of the only command, as it comes.
    pub(super) fn output(&self, pieces: &[CommandOutput]) -> anyhow::Result<()> {
        for piece in pieces {
            if self.format == TableFormat::Json {
                output::text(&json!({ "output": piece }).to_string())?;
                continue;
            }
            let to_stderr = piece.stream == "stderr";
            // A reader that went away is no error.
            let _ = if to_stderr {
                write(std::io::stderr().lock(), &piece.chunk)
            } else {
                write(std::io::stdout().lock(), &piece.chunk)
            };
            if piece.cut {
                output::note("[the device left out the rest]");
            }
        }
        Ok(())
    }

    /// A command ended.
    pub(super) fn ended(&self, row: &CommandRow, result: Option<Value>) -> anyhow::Result<()> {
        let line = if self.format == TableFormat::Json {
            json!({ "command": row, "result": result }).to_string()
        } else {
            let result = self.shown(result);
            let why = row.reason_text.as_deref().unwrap_or_default();
            let code = row.reason_code.as_deref().unwrap_or_default();
            let told = [code, &harmless(why), &result].join(" ");
            format!("{}  {}  {}", row.device, word(row.state), told.trim()).trim_end().to_owned()
        };
        match &self.progress {
            None => output::text(&line)?,
            Some(progress) => {
                progress.beside(|| output::text(&line))?;
                progress.add(1);
            }
        }
        Ok(())
    }

    fn shown(&self, result: Option<Value>) -> String {
        match result {
            None | Some(Value::Null) => String::new(),
            Some(result) if self.is_one => {
                format!("\n{}", serde_json::to_string_pretty(&result).unwrap_or_default())
            }
            Some(result) => result.to_string().chars().take(RESULT_SHOWN_CHARS).collect(),
        }
    }

    /// All that were sent have ended.
    pub(super) fn end(
        &self,
        batch: &Uuid,
        counts: &BTreeMap<CommandState, u64>,
        not_sent: usize,
    ) -> anyhow::Result<()> {
        if let Some(progress) = &self.progress {
            progress.end();
        }
        if self.format == TableFormat::Json {
            let counts: BTreeMap<&str, u64> =
                counts.iter().map(|(state, count)| (state.as_str(), *count)).collect();
            let line = json!({ "batch": batch, "counts": counts, "not_sent": not_sent });
            return Ok(output::text(&line.to_string())?);
        }
        if self.is_one {
            return Ok(());
        }
        let mut table = Table::new(&["STATE", "COMMANDS"]);
        for (state, count) in counts {
            table.row(vec![word(*state), count.to_string()]);
        }
        if not_sent > 0 {
            table.row(vec!["not sent".to_owned(), not_sent.to_string()]);
        }
        output::text(&format!("\n{}", table.render()))?;
        output::note(&format!("see: wegweiser command list --batch {batch}"));
        Ok(())
    }
}

/// As it is into a pipe; on a terminal, without what moves its cursor.
fn write(mut out: impl Write + IsTerminal, text: &str) -> std::io::Result<()> {
    let tamed = if out.is_terminal() { tame(text) } else { text.to_owned() };
    out.write_all(tamed.as_bytes()).and_then(|()| out.flush())
}

/// What a device printed, without control characters but for tabs and line ends.
pub(super) fn tame(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// The state as a word, in colour.
pub(super) fn word(state: CommandState) -> String {
    let colour = match state {
        CommandState::Succeeded => Colour::Green,
        CommandState::Queued | CommandState::Delivered | CommandState::Running => Colour::Yellow,
        _ => Colour::Red,
    };
    coloured(state.as_str(), colour)
}
