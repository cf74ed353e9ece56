//! `wegweiser dlq export`: letters as JSON lines, payload and all.
//!
//! Promises: a file is there whole or not at all, for its owner only, and none is written over.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use broker::Broker;
use broker::dead_letters::Letter;
use clap::Args;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use super::bytes;
use super::progress::Progress;
use super::selection::{Filters, Walk};
use crate::output;

/// Writes letters.
#[derive(Args, Debug)]
pub(crate) struct ExportCommand {
    #[command(flatten)]
    filters: Filters,
    /// Most letters, the oldest first.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// File to write, in place of standard output; an existing one is never written over.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) async fn run(command: &ExportCommand, broker: &Broker) -> anyhow::Result<ExitCode> {
    let filter = command.filters.read()?;
    let limit = command.limit.unwrap_or(u64::MAX);
    let mut walk = Walk::of_filter(broker, filter, limit).await?;
    let Some(path) = &command.out else {
        while let Some(letters) = walk.page().await? {
            if !bytes(&lines(&letters))? {
                break;
            }
        }
        return Ok(ExitCode::SUCCESS);
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .with_context(|| format!("writing beside {}", path.display()))?;
    let progress = Progress::start("export", None);
    let mut written = 0;
    while let Some(letters) = walk.page().await? {
        file.write_all(&lines(&letters)).with_context(|| format!("writing {}", path.display()))?;
        written += letters.len();
        progress.add(letters.len());
    }
    progress.end();
    file.as_file().sync_all().with_context(|| format!("writing {}", path.display()))?;
    file.persist_noclobber(path).with_context(|| format!("creating {}", path.display()))?;
    output::text(&format!("{written} letters in {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn lines(letters: &[Letter]) -> Vec<u8> {
    let mut lines = String::new();
    for letter in letters {
        let mut headers = Map::new();
        for (name, value) in &letter.headers {
            headers.insert(name.clone(), Value::from(value.as_str()));
        }
        let line = json!({
            "sequence": letter.sequence,
            "parked_ms": letter.parked.get(),
            "subject": letter.subject,
            "headers": headers,
            "payload_base64": BASE64.encode(&letter.payload),
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    lines.into_bytes()
}
