//! Files with one JSON object a line, for verbs that take many at once.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;

/// Most lines of one file.
const LINES_MAX: usize = 100_000;

/// Reads every line; empty ones are passed over.
///
/// # Errors
/// The first line that cannot be read, by its number.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut read = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let place = || format!("{} line {number}", path.display());
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        if read.len() == LINES_MAX {
            bail!("{}: more than {LINES_MAX} lines; split the file", path.display());
        }
        read.push(serde_json::from_str(&line).with_context(place)?);
    }
    Ok(read)
}
