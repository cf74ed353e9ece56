//! `[commands]`: whether commands are taken, within which bounds, and what `run` and `osquery` may.

use std::path::{Path, PathBuf};

use broker::{BelievedKeys, CommandSettings, JournalSettings};
use runtime::settings::Reader;

use super::document::Document;
use crate::command::{AllowedProgram, CommandPlan, Limits, OsqueryPlan, Pattern};
use crate::settings::{COMMAND_KEYS, COMMANDS_DIR};

/// Most programs that may be allowed.
const PROGRAMS_MAX: usize = 64;
/// Beside the credentials.
const DIR_USUAL: &str = "commands";
const OSQUERY_USUAL: &str = "/usr/bin/osqueryi";
/// Tables that reach out of the device or collect files, which no question about it needs.
const TABLES_DISABLED: [&str; 3] = ["carves", "curl", "curl_certificate"];

/// Reads what the agent is told about commands; `None`: it takes none.
pub(crate) fn read(
    document: &Document,
    reader: &mut Reader,
    creds: Option<&Path>,
) -> Option<CommandPlan> {
    let enabled = document.flag(reader, "commands.enabled", true);
    let beside = |name: &str| creds.map(|creds| creds.with_file_name(name)).unwrap_or_default();
    let dir = reader.path(&COMMANDS_DIR).unwrap_or_else(|| beside(DIR_USUAL));
    let keys = reader.path(&COMMAND_KEYS).unwrap_or_else(|| beside(BelievedKeys::FILE_NAME));
    let running_max = document.number(reader, "commands.max_running", 2, 1..=16);
    let limits = Limits {
        output_max_bytes: document.number(
            reader,
            "commands.output_max_bytes",
            256 * 1024,
            1_024..=16 * 1024 * 1024,
        ),
        processes_max: document.number(reader, "commands.max_processes", 128, 1..=65_536),
    };
    let osquery = osquery(document, reader);
    let programs = programs(document, reader);
    let running_max = usize::try_from(running_max).unwrap_or(1);
    let device = CommandSettings { journal: JournalSettings { dir, sync: true }, running_max };
    enabled.then_some(CommandPlan { device, keys, limits, osquery, programs })
}

fn osquery(document: &Document, reader: &mut Reader) -> OsqueryPlan {
    let key = "commands.osquery.path";
    let path = document.text(reader, key).unwrap_or_else(|| OSQUERY_USUAL.to_owned());
    let path = PathBuf::from(path);
    if path.is_relative() {
        let problem = format!("is {path:?}; name the program with its whole path");
        reader.mistake_at(document.place(key), problem);
    }
    let disabled = "commands.osquery.disabled_tables";
    let disabled_tables = if document.has(disabled) {
        tables(document, reader, disabled)
    } else {
        TABLES_DISABLED.map(str::to_owned).to_vec()
    };
    let allowed_tables = tables(document, reader, "commands.osquery.allowed_tables");
    OsqueryPlan { path, disabled_tables, allowed_tables }
}

fn tables(document: &Document, reader: &mut Reader, key: &str) -> Vec<String> {
    let tables = document.texts(reader, key);
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    for table in &tables {
        if table.is_empty() || !table.bytes().all(plain) {
            let problem = format!("{table:?} is no table; give names of [a-z0-9_]");
            reader.mistake_at(document.place(key), problem);
        }
    }
    tables
}

fn programs(document: &Document, reader: &mut Reader) -> Vec<AllowedProgram> {
    const PREFIX: &str = "commands.run.";
    let names = document.parts_after(PREFIX);
    if names.len() > PROGRAMS_MAX {
        let problem = format!("has {} programs; give up to {PROGRAMS_MAX}", names.len());
        reader.mistake_at("commands.run".to_owned(), problem);
    }
    let mut programs = Vec::new();
    for name in names.into_iter().take(PROGRAMS_MAX) {
        let key = format!("{PREFIX}{name}.program");
        let path = document.text(reader, &key);
        if path.as_ref().is_none_or(|path| Path::new(path).is_relative()) {
            let problem = "is no absolute path; name the program with its whole path".to_owned();
            reader.mistake_at(document.place(&key), problem);
        }
        let key = format!("{PREFIX}{name}.arguments");
        let mut arguments = Vec::new();
        for text in document.texts(reader, &key) {
            match Pattern::parse(&text) {
                Ok(pattern) => arguments.push(pattern),
                Err(problem) => reader.mistake_at(document.place(&key), problem),
            }
        }
        if let Some(path) = path {
            programs.push(AllowedProgram { path, arguments });
        }
    }
    programs
}
