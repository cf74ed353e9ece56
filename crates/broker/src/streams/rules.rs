//! What must hold between the fields of a file, and between files.
//!
//! Promises: what the server would refuse is found here, before anything is touched. Refuses:
//! also what the server takes and then does differently (an `ack_wait` beside another `backoff`).

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::mistakes::{Mistake, Notebook};
use super::{DesiredConsumer, DesiredStream, subjects, words};

/// Longest name of a stream or consumer, in bytes, as on the server.
const NAME_MAX_BYTES: usize = 255;
type Config = Map<String, Value>;

/// The rules of one `stream.json`.
pub(super) fn stream(folder: &str, config: &Config, notebook: &mut Notebook<'_>) {
    named("name", folder, "folder", config, notebook);
    own_metadata(config, notebook);
    let number = |field: &str| config.get(field).and_then(Value::as_i64).unwrap_or_default();
    let window = number("duplicate_window");
    let age = number("max_age");
    if age > 0 && window > age {
        let remedy = format!("give at most max_age, which is {age}");
        notebook.field("duplicate_window", &window.into(), remedy);
    }
    if flag(config, "discard_new_per_subject") {
        if word(config, "discard") != "new" {
            let remedy = "needs \"discard\": \"new\"";
            notebook.field("discard_new_per_subject", &true.into(), remedy);
        }
        if number("max_msgs_per_subject") <= 0 {
            let remedy = "needs max_msgs_per_subject from 1";
            notebook.field("discard_new_per_subject", &true.into(), remedy);
        }
    }
    let marker = number("subject_delete_marker_ttl");
    if marker > 0 && !(flag(config, "allow_msg_ttl") && flag(config, "allow_rollup_hdrs")) {
        let remedy = "needs allow_msg_ttl and allow_rollup_hdrs, both true";
        notebook.field("subject_delete_marker_ttl", &marker.into(), remedy);
    }
    if flag(config, "deny_purge") && flag(config, "allow_rollup_hdrs") {
        notebook.field("deny_purge", &true.into(), "a roll-up purges; allow one of the two");
    }
    captured(config, notebook);
}

fn captured(config: &Config, notebook: &mut Notebook<'_>) {
    let all = words(config, "subjects");
    for (index, subject) in all.iter().enumerate() {
        for other in all.iter().skip(index + 1) {
            if subjects::meet(subject, other) {
                let remedy = format!("overlaps with {other:?} of the same stream; keep one");
                notebook.field("subjects", &(*subject).into(), remedy);
            }
        }
        let internal = ["$JS.>", "$JSC.>", "$NRG.>", "$SYS.>"];
        let allowed = ["$JS.EVENT.>", "$SYS.ACCOUNT.>"];
        if internal.iter().any(|space| subjects::meet(subject, space))
            && !allowed.iter().any(|space| subjects::within(subject, space))
        {
            let remedy = "is the server's own; only subjects within $JS.EVENT.> can be captured";
            notebook.field("subjects", &(*subject).into(), remedy);
        }
    }
}

/// The rules of one consumer file by itself.
pub(super) fn consumer(file: &str, config: &Config, notebook: &mut Notebook<'_>) {
    named("durable_name", file, "file", config, notebook);
    if let Some(name) = config.get("name").filter(|name| name.as_str() != Some(file)) {
        notebook.field("name", name, "must be the same as durable_name, or left out");
    }
    own_metadata(config, notebook);
    if config.contains_key("filter_subject") && config.contains_key("filter_subjects") {
        let value = config.get("filter_subject").unwrap_or(&Value::Null);
        notebook.field("filter_subject", value, "give this or filter_subjects, not both");
    }
    let Some(backoff) = config.get("backoff").and_then(Value::as_array) else {
        return;
    };
    let (first, wait) = (backoff.first(), config.get("ack_wait").unwrap_or(&Value::Null));
    if let Some(first) = first.filter(|first| *first != wait) {
        let remedy = format!("the server would take the first backoff instead; give {first}");
        notebook.field("ack_wait", wait, remedy);
    }
    let deliveries = config.get("max_deliver").and_then(Value::as_u64);
    if let Some(most) = deliveries.filter(|most| (backoff.len() as u64) > *most) {
        let remedy = format!("has {} steps; give at most max_deliver, {most}", backoff.len());
        notebook.field("backoff", &backoff.clone().into(), remedy);
    }
}

/// The rules between a stream and its consumers.
pub(super) fn consumers_of(
    stream: &Config,
    consumers: &[(PathBuf, DesiredConsumer)],
    mistakes: &mut Vec<Mistake>,
) {
    let captured = words(stream, "subjects");
    let work_queue = word(stream, "retention") == "workqueue";
    for (index, (path, consumer)) in consumers.iter().enumerate() {
        let mut notebook = Notebook::new(path, mistakes);
        for filter in filters(&consumer.config) {
            if !captured.iter().any(|subject| subjects::within(filter, subject)) {
                let remedy = format!("the stream captures only {}", captured.join(", "));
                notebook.field("filter_subject", &filter.into(), remedy);
            }
        }
        let copies = |config: &Config| config.get("num_replicas").and_then(Value::as_u64);
        let (own, of_stream) = (copies(&consumer.config), copies(stream));
        if let Some(own) = own.filter(|own| *own > of_stream.unwrap_or(1)) {
            let remedy = "give at most those of the stream, or 0 for as many as it has";
            notebook.field("num_replicas", &own.into(), remedy);
        }
        if !work_queue {
            continue;
        }
        if let Some(policy) = consumer.config.get("deliver_policy").filter(|p| *p != "all") {
            notebook.field("deliver_policy", policy, "a workqueue stream needs \"all\"");
        }
        for (_, other) in consumers.iter().skip(index + 1) {
            if share_a_message(&consumer.config, &other.config) {
                let remedy = format!(
                    "a workqueue stream gives each message to one consumer; {} wants the same ones",
                    other.name
                );
                notebook.field("filter_subject", &filters(&consumer.config).into(), remedy);
            }
        }
    }
}

/// No two streams may capture one subject: a message would have its effect twice.
pub(super) fn between_streams(
    directory: &Path,
    streams: &[DesiredStream],
    mistakes: &mut Vec<Mistake>,
) {
    for (index, stream) in streams.iter().enumerate() {
        let file = directory.join(&stream.name).join("stream.json");
        for other in streams.iter().skip(index + 1) {
            for subject in words(&stream.config, "subjects") {
                let theirs = words(&other.config, "subjects");
                let Some(met) = theirs.iter().find(|theirs| subjects::meet(subject, theirs)) else {
                    continue;
                };
                let remedy = format!(
                    "overlaps with {met:?} of stream {}; each subject goes to one stream",
                    other.name
                );
                Notebook::new(&file, mistakes).field("subjects", &subject.into(), remedy);
            }
        }
    }
}

/// The subjects that a consumer takes; none means all of the stream.
pub(super) fn filters(config: &Config) -> Vec<&str> {
    let mut filters = words(config, "filter_subjects");
    let single = word(config, "filter_subject");
    if !single.is_empty() {
        filters.push(single);
    }
    filters
}

fn share_a_message(one: &Config, other: &Config) -> bool {
    let (one, other) = (filters(one), filters(other));
    if one.is_empty() || other.is_empty() {
        return true;
    }
    one.iter().any(|a| other.iter().any(|b| subjects::meet(a, b)))
}

fn named(field: &str, expected: &str, place: &str, config: &Config, notebook: &mut Notebook<'_>) {
    let Some(name) = config.get(field) else {
        return;
    };
    if name.as_str() != Some(expected) {
        notebook.field(
            field,
            name,
            format!("the {place} is named {expected:?}; make them the same"),
        );
        return;
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    if expected.len() > NAME_MAX_BYTES || expected.contains(bad) {
        let remedy = "a name has up to 255 bytes and no space, dot, `*`, `>`, `/` or `\\`";
        notebook.field(field, name, remedy);
    }
}

fn own_metadata(config: &Config, notebook: &mut Notebook<'_>) {
    let pairs = config.get("metadata").and_then(Value::as_object);
    for (key, value) in pairs.into_iter().flatten() {
        if key.starts_with("_nats.") || key.starts_with("wegweiser.") {
            let remedy =
                "the server and Wegweiser write the keys _nats.* and wegweiser.*; remove it";
            notebook.field(&format!("metadata.{key}"), value, remedy);
        }
    }
}

fn word<'a>(config: &'a Config, field: &str) -> &'a str {
    config.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn flag(config: &Config, field: &str) -> bool {
    config.get(field).and_then(Value::as_bool).unwrap_or_default()
}
