//! What became, or would become, of letters: counted by outcome and stream.

use std::collections::BTreeMap;

use serde::Serialize;

use super::harmless;
use crate::output::{self, Table, TableFormat};

/// Counts by outcome and stream.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<(&'static str, String), u64>);

#[derive(Serialize)]
struct Row<'a> {
    outcome: &'a str,
    stream: &'a str,
    letters: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: &'static str, stream: &str) {
        *self.0.entry((outcome, stream.to_owned())).or_default() += 1;
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn print(&self, format: TableFormat) -> anyhow::Result<()> {
        let row = |((outcome, stream), letters): (&(&'static str, String), &u64)| {
            (*outcome, stream.clone(), *letters)
        };
        let rows: Vec<(&str, String, u64)> = self.0.iter().map(row).collect();
        if format == TableFormat::Json {
            let rows: Vec<Row<'_>> = rows
                .iter()
                .map(|(outcome, stream, letters)| Row { outcome, stream, letters: *letters })
                .collect();
            return output::json(&rows);
        }
        if rows.is_empty() {
            return Ok(output::text("no letter matches")?);
        }
        let mut table = Table::new(&["LETTERS", "STREAM", "OUTCOME"]);
        for (outcome, stream, letters) in rows {
            table.row(vec![letters.to_string(), harmless(&stream), outcome.to_owned()]);
        }
        Ok(output::text(&table.render())?)
    }
}
