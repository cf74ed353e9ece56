//! Compares two configurations, field by field.
//!
//! Promises: only what the files state, and the server's defaults for what they leave out, is
//! compared, so that what the server adds by itself (`_nats.*` metadata, its own limits) is no
//! difference. Refuses to judge: what a difference means is for [`super::difference`].

use serde_json::{Map, Value};

use super::fields::{self, Change as Rule, Field, Otherwise};
use super::{CONSUMERS_KEY, MANAGED_KEY};

type Config = Map<String, Value>;

/// One field with two values; absent where nothing is stated and the default is nothing.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) field: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) rule: Rule,
}

/// What differs between what the server has and what is declared.
pub(super) fn differences(table: &[Field], found: &Config, declared: &Config) -> Vec<Difference> {
    let mut differences = Vec::new();
    for field in compared(table, declared) {
        if field.name == "metadata" {
            differences.extend(metadata_differences(found, declared));
            continue;
        }
        let (before, after) = (fields::value(found, field), fields::value(declared, field));
        if before == after {
            continue;
        }
        differences.push(Difference {
            field: field.name.to_owned(),
            before: (!before.is_null()).then_some(before),
            after: (!after.is_null()).then_some(after),
            rule: field.change,
        });
    }
    differences
}

/// What the server has, with every compared field replaced by what is declared.
pub(super) fn overlay(table: &[Field], found: &Config, declared: &Config) -> Config {
    let mut config = found.clone();
    for field in compared(table, declared) {
        match fields::value(declared, field) {
            Value::Null => config.remove(field.name),
            value => config.insert(field.name.to_owned(), value),
        };
    }
    config
}

/// What a file states, field by field, without its name and our marks.
pub(super) fn stated(table: &[Field], declared: &Config) -> Vec<(String, Value)> {
    let mut stated = Vec::new();
    for field in table {
        if matches!(field.name, "name" | "durable_name" | "metadata") {
            continue;
        }
        if let Some(value) = declared.get(field.name) {
            stated.push((field.name.to_owned(), value.clone()));
        }
    }
    for (key, value) in own_metadata(declared) {
        if key != MANAGED_KEY && key != CONSUMERS_KEY {
            stated.push((format!("metadata.{key}"), value));
        }
    }
    stated
}

/// The fields that the files speak for.
fn compared<'a>(table: &'a [Field], declared: &'a Config) -> impl Iterator<Item = &'a Field> {
    table.iter().filter(|field| {
        field.otherwise != Otherwise::ServersChoice || declared.contains_key(field.name)
    })
}

fn metadata_differences(found: &Config, declared: &Config) -> Vec<Difference> {
    let (before, after) = (own_metadata(found), own_metadata(declared));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut differences = Vec::new();
    for key in keys {
        if before.get(key) == after.get(key) {
            continue;
        }
        differences.push(Difference {
            field: format!("metadata.{key}"),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
            rule: Rule::Free,
        });
    }
    differences
}

/// The metadata without the keys that the server writes.
fn own_metadata(config: &Config) -> Config {
    let pairs = config.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    pairs.into_iter().filter(|(key, _)| !key.starts_with("_nats.")).collect()
}
