//! The configuration file as keys with values, and what `--set` puts above it.
//!
//! Promises: a key that nothing asked for is a mistake, so that a typo is never a silent default.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::settings::Reader;
use toml::{Table, Value};

/// Largest file that is read.
const FILE_MAX_BYTES: u64 = 256 * 1024;
/// Longest list that a key may have.
pub(super) const LIST_MAX: usize = 32;

/// Keys, with dots between their parts, and values.
#[derive(Debug, Default)]
pub(crate) struct Document {
    path: Option<PathBuf>,
    file: BTreeMap<String, Value>,
    set: BTreeMap<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

/// Why there is no document; a text for the operator.
type Problem = String;

impl Document {
    /// # Errors
    /// The file cannot be read or is no TOML.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, Problem> {
        let Some(path) = path else { return Ok(Self::default()) };
        let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > FILE_MAX_BYTES {
            return Err(format!("has {size} bytes; it may have {FILE_MAX_BYTES}"));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            format!("is no TOML: {}", error.to_string().trim_end())
        })?;
        let mut file = BTreeMap::new();
        flatten("", table, &mut file);
        Ok(Self { path: Some(path.to_owned()), file, ..Self::default() })
    }

    /// Puts `key=value` above the file; a value that is no TOML is taken as text.
    ///
    /// # Errors
    /// There is no `=`.
    pub(super) fn set(&mut self, pair: &str) -> Result<(), Problem> {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("{pair:?} has no value; give key=value"))?;
        let parsed = format!("value = {value}").parse::<Table>().ok();
        let value = parsed.and_then(|mut table| table.remove("value"));
        let value = value.unwrap_or_else(|| Value::String(pair[key.len() + 1..].to_owned()));
        match value {
            Value::Table(table) => flatten(key, table, &mut self.set),
            value => drop(self.set.insert(key.to_owned(), value)),
        }
        Ok(())
    }

    /// Whether it is given anywhere.
    pub(super) fn has(&self, key: &str) -> bool {
        self.set.contains_key(key) || self.file.contains_key(key)
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.set.contains_key(key)
    }

    /// The value, which is used from now on.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.used.borrow_mut().insert(key.to_owned());
        self.set.get(key).or_else(|| self.file.get(key))
    }

    /// Where a key's value stands, for a mistake in it.
    pub(super) fn place(&self, key: &str) -> String {
        match &self.path {
            _ if self.is_set(key) => format!("--set {key}"),
            Some(path) if self.file.contains_key(key) => format!("{key} in {}", path.display()),
            _ => key.to_owned(),
        }
    }

    /// The parts that follow `prefix` in the keys, each once.
    pub(super) fn parts_after(&self, prefix: &str) -> BTreeSet<String> {
        let keys = self.file.keys().chain(self.set.keys());
        let after = keys.filter_map(|key| key.strip_prefix(prefix)?.split('.').next());
        after.map(str::to_owned).collect()
    }

    /// What follows `prefix` in the keys.
    pub(super) fn keys_after(&self, prefix: &str) -> BTreeSet<String> {
        let keys = self.file.keys().chain(self.set.keys());
        keys.filter_map(|key| key.strip_prefix(prefix)).map(str::to_owned).collect()
    }

    /// Notes every key that nothing asked for.
    pub(super) fn note_unknown(&self, reader: &mut Reader) {
        let used = self.used.borrow();
        let all: BTreeSet<&String> = self.file.keys().chain(self.set.keys()).collect();
        for key in all.into_iter().filter(|key| !used.contains(*key)) {
            let remedy = "is no key of ours; see wegweiser-agent config print-default";
            reader.mistake_at(self.place(key), remedy.to_owned());
        }
    }

    pub(super) fn flag(&self, reader: &mut Reader, key: &str, default: bool) -> bool {
        match self.get(key) {
            None => default,
            Some(Value::Boolean(flag)) => *flag,
            Some(other) => {
                self.wrong(reader, key, other, "give true or false");
                default
            }
        }
    }

    pub(super) fn milliseconds(
        &self,
        reader: &mut Reader,
        key: &str,
        default: Duration,
        range: std::ops::RangeInclusive<u64>,
    ) -> Duration {
        let Some(value) = self.get(key) else { return default };
        let given = value.as_integer().and_then(|number| u64::try_from(number).ok());
        if let Some(number) = given.filter(|number| range.contains(number)) {
            return Duration::from_millis(number);
        }
        let (low, high) = (range.start(), range.end());
        self.wrong(reader, key, value, &format!("give whole milliseconds from {low} to {high}"));
        default
    }

    pub(super) fn number(
        &self,
        reader: &mut Reader,
        key: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some(value) = self.get(key) else { return default };
        let given = value.as_integer().and_then(|number| u64::try_from(number).ok());
        if let Some(number) = given.filter(|number| range.contains(number)) {
            return number;
        }
        let (low, high) = (range.start(), range.end());
        self.wrong(reader, key, value, &format!("give a whole number from {low} to {high}"));
        default
    }

    pub(super) fn text(&self, reader: &mut Reader, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::String(text) => Some(text.clone()),
            other => {
                self.wrong(reader, key, other, "give a text in quotes");
                None
            }
        }
    }

    pub(super) fn texts(&self, reader: &mut Reader, key: &str) -> Vec<String> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let texts: Option<Vec<String>> = value
            .as_array()
            .and_then(|list| list.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        match texts {
            Some(texts) if texts.len() <= LIST_MAX => texts,
            _ => {
                let remedy = format!("give a list of up to {LIST_MAX} texts in quotes");
                self.wrong(reader, key, value, &remedy);
                Vec::new()
            }
        }
    }

    pub(super) fn wrong(&self, reader: &mut Reader, key: &str, value: &dyn Display, remedy: &str) {
        reader.mistake_at(self.place(key), format!("is {value}; {remedy}"));
    }
}

fn flatten(prefix: &str, table: Table, values: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            // As deep as the parser lets a file be.
            Value::Table(table) => flatten(&key, table, values),
            value => drop(values.insert(key, value)),
        }
    }
}
