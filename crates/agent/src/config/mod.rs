//! The agent's configuration: `--set` above the environment above one TOML file above the defaults.
//!
//! Promises: every mistake is told at once with its place; what is not understood is a mistake.

mod collectors;
mod commands;
mod document;

use std::path::PathBuf;
use std::rc::Rc;

use protocol::Labels;
use runtime::logs;
use runtime::settings::{Given, Mistakes, Reader, Setting, from_environment};
use runtime::telemetry::TelemetrySettings;
use toml::Value;

use crate::settings::{self, AgentSettings};
pub(crate) use collectors::CollectorPlan;
use document::Document;

/// The default configuration, which documents every key.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// Where the file is.
pub(crate) const CONFIG: Setting = Setting {
    name: "WEGWEISER_AGENT_CONFIG",
    default: Some("/etc/wegweiser/agent.toml"),
    unit: "a path to a TOML file",
    help: "The agent's configuration file; the default one may be missing.",
};

/// The keys of settings that have a variable too.
const KEYS: &[(&str, Setting)] = &[
    ("broker.url", broker::NATS_URL),
    ("broker.creds", settings::CREDS),
    ("broker.ca", broker::NATS_CA),
    ("broker.client_certificate", broker::NATS_CLIENT_CERT),
    ("broker.client_key", broker::NATS_CLIENT_KEY),
    ("broker.reconnect_spread_ms", settings::RECONNECT_SPREAD),
    ("device.tenant", settings::TENANT),
    ("status.file", settings::STATUS_FILE),
    ("commands.dir", settings::COMMANDS_DIR),
    ("commands.keys", settings::COMMAND_KEYS),
    ("status.listen", settings::LISTEN),
    ("log.filter", logs::LOG),
    ("log.format", logs::LOG_FORMAT),
    ("log.file", logs::LOG_FILE),
    ("log.rotation", logs::LOG_ROTATION),
    ("log.files_kept", logs::LOG_FILES_KEPT),
    ("log.burst_per_s", logs::LOG_BURST),
    ("metrics.interval_ms", settings::METRICS_INTERVAL),
    ("heartbeat.interval_ms", settings::HEARTBEAT_INTERVAL),
    ("monitoring.interval_ms", settings::MONITORING_INTERVAL),
    ("spool.dir", settings::SPOOL_DIR),
    ("spool.max_bytes", settings::SPOOL_MAX_BYTES),
    ("spool.max_age_s", settings::SPOOL_MAX_AGE),
    ("spool.messages_per_s", settings::SPOOL_MESSAGES_PER_S),
];

/// What the command line says of the configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Overrides {
    /// The configuration file, instead of WEGWEISER_AGENT_CONFIG.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A key of the configuration and its value, above file and environment; may be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Everything that an agent is told, and how to log.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) agent: AgentSettings,
    pub(crate) telemetry: TelemetrySettings,
}

impl Told {
    /// Reads file, environment and `overrides`.
    ///
    /// # Errors
    /// Every mistake in them.
    pub(crate) fn read(overrides: &Overrides) -> Result<Self, Mistakes> {
        let mut before = Reader::from_environment();
        let document = Rc::new(load(overrides, &mut before));
        before.finish()?;
        let lookup = Rc::clone(&document);
        let mut reader = Reader::from_places(move |name| given(&lookup, name));
        check_forms(&document, &mut reader);
        let agent = AgentSettings::read(&mut reader, &document);
        let telemetry = TelemetrySettings::read(&mut reader);
        document.note_unknown(&mut reader);
        let noted = reader.finish();
        match agent {
            Some(agent) => noted.map(|()| Self { agent, telemetry }),
            // Something is missing: then that was noted.
            None => Err(noted.err().unwrap_or_default()),
        }
    }
}

/// The file that is read, whether or not it is there.
pub(crate) fn file_path(overrides: &Overrides) -> PathBuf {
    let explicit = explicit_path(overrides);
    explicit.unwrap_or_else(|| CONFIG.default.unwrap_or_default().into())
}

/// Where the status is, for somebody who may not read the rest.
///
/// # Errors
/// The configuration file cannot be read.
pub(crate) fn status_path(overrides: &Overrides) -> Result<PathBuf, Mistakes> {
    let mut before = Reader::from_environment();
    let document = load(overrides, &mut before);
    before.finish()?;
    let mut reader = Reader::from_places(move |name| given(&document, name));
    let path = reader.text(&settings::STATUS_FILE);
    reader.finish().map(|()| path.into())
}

/// Where this device's credentials are or go, whether or not they are there.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn creds_path(overrides: &Overrides) -> Result<PathBuf, Mistakes> {
    let mut reader = Reader::from_environment();
    let explicit = explicit_path(overrides).is_some_and(|path| !path.exists());
    let document = if explicit { Document::default() } else { load(overrides, &mut reader) };
    reader.finish()?;
    let creds = given(&document, settings::CREDS.name);
    Ok(creds.map_or_else(|| settings::CREDS_USUAL.into(), |given| given.value.into()))
}

fn explicit_path(overrides: &Overrides) -> Option<PathBuf> {
    let given = overrides.config.clone();
    given.or_else(|| Some(from_environment(CONFIG.name)?.value.into()))
}

fn load(overrides: &Overrides, reader: &mut Reader) -> Document {
    let usual = CONFIG.default.map(PathBuf::from).filter(|path| path.exists());
    let path = explicit_path(overrides).or(usual);
    let mut document = Document::load(path.as_deref()).unwrap_or_else(|problem| {
        let path = path.unwrap_or_default();
        reader.mistake_at(path.display().to_string(), problem);
        Document::default()
    });
    for pair in &overrides.set {
        if let Err(problem) = document.set(pair) {
            reader.mistake_at("--set".to_owned(), problem);
        }
    }
    document
}

/// A setting's value, from the highest place that has one.
fn given(document: &Document, name: &str) -> Option<Given> {
    let key = KEYS.iter().find(|(_, setting)| setting.name == name).map(|(key, _)| *key);
    let in_document = key.and_then(|key| {
        let value = match document.get(key)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(Given { value, place: Some(document.place(key)) })
    });
    if key.is_some_and(|key| document.is_set(key)) {
        return in_document;
    }
    from_environment(name).or(in_document)
}

/// Texts are texts and numbers are numbers, whatever else would happen to parse.
fn check_forms(document: &Document, reader: &mut Reader) {
    for (key, setting) in KEYS {
        let number = ["_ms", "_s", "_bytes", "_kept"].iter().any(|unit| key.ends_with(unit));
        match document.get(key) {
            None => {}
            Some(Value::Integer(_)) if number => {}
            Some(Value::String(_)) if !number => {}
            Some(other) => {
                let form = if number { "a whole number" } else { "a text in quotes" };
                document.wrong(reader, key, other, &format!("give {form}: {}", setting.unit));
            }
        }
    }
}

/// The labels that the device reports.
pub(crate) fn labels(document: &Document, reader: &mut Reader) -> Labels {
    let mut labels = Labels::default();
    for name in document.keys_after("labels.") {
        let key = format!("labels.{name}");
        let Some(value) = document.text(reader, &key) else { continue };
        if let Err(error) = labels.set(&name, &value) {
            reader.mistake_at(document.place(&key), error.to_string());
        }
    }
    labels
}

pub(crate) use collectors::read as collectors;
pub(crate) use commands::read as commands;
pub(crate) use document::Document as Configuration;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Every `key = value` of the default file, those behind a `#` too.
    fn documented() -> BTreeMap<String, String> {
        let mut section = String::new();
        let mut found = BTreeMap::new();
        for line in DEFAULT.lines() {
            let line = line.strip_prefix('#').unwrap_or(line);
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            } else if let Some((key, value)) = line.split_once(" = ") {
                found.insert(format!("{section}.{key}"), value.trim_matches('"').to_owned());
            }
        }
        found
    }

    #[test]
    fn the_default_file_has_every_key_with_its_default() {
        let documented = documented();
        for (key, setting) in KEYS {
            let value = documented.get(*key).unwrap_or_else(|| panic!("{key} is missing"));
            if let Some(default) = setting.default {
                assert_eq!(value, default, "{key}");
            }
        }
    }
}
