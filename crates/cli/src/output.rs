//! What a verb prints: text and tables on standard output, errors on standard error.
//!
//! Promises: a reader that goes away (`wegweiser devices | head -1`) is no error and changes no
//! exit code; columns are the same on a terminal and in a pipe; colour is for terminals only.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use serde::Serialize;

/// In which form a verb answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// As [`Format`], where the form for people is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TableFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Colour of a word on a terminal (SGR codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// Prints a text and a line end.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn text(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints a text over the one before, on a terminal.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn over(text: &str) -> std::io::Result<()> {
    /// Back to the start of the line, and erase it.
    const START_OVER: &str = "\r\x1b[2K";
    let mut out = std::io::stdout().lock();
    write!(out, "{START_OVER}{text}").and_then(|()| out.flush())
}

/// Prints a value as indented JSON.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(text(&serde_json::to_string_pretty(value)?)?)
}

/// Prints a line beside the answer, on standard error.
pub(crate) fn note(text: &str) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The word in colour, where standard output is a terminal and `NO_COLOR` is not set.
pub(crate) fn coloured(word: &str, colour: Colour) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !std::io::stdout().is_terminal() {
        return word.to_owned();
    }
    format!("\x1b[{}m{word}\x1b[0m", colour as u8)
}

/// Rows under headings, each column as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table without a line end after its last row.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| shown_width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width + 2 - shown_width(cell)));
            }
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n")
    }
}

/// Characters that take room: all but the colour codes that [`coloured`] adds.
fn shown_width(cell: &str) -> usize {
    let mut width = 0;
    let mut in_code = false;
    for character in cell.chars() {
        match character {
            '\x1b' => in_code = true,
            'm' if in_code => in_code = false,
            _ if in_code => {}
            _ => width += 1,
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_is_coloured() {
        let mut table = Table::new(&["DEVICE", "ONLINE", "VERSION"]);
        table.row(vec!["d1".into(), "\x1b[32monline\x1b[0m".into(), "1.0".into()]);
        table.row(vec!["device-2".into(), "no".into(), "é".into()]);
        assert_eq!(
            table.render(),
            "DEVICE    ONLINE  VERSION\n\
             d1        \x1b[32monline\x1b[0m  1.0\n\
             device-2  no      é"
        );
    }
}
