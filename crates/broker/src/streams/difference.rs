//! Compares files and server, field by field.
//!
//! Promises: only what the files state, and the server's defaults for what they leave out, is
//! compared, so that what the server adds by itself is no difference. The steps stand in an order
//! in which the server takes them: what frees a subject comes before what captures it. Refuses:
//! to look at consumers that were not declared in a file, since every device has one.

use serde_json::{Map, Value};

use super::fields::{self, Change as Rule, Field, Otherwise};
use super::server::{Found, Server, ServerError};
use super::{CONSUMERS_KEY, Desired, DesiredConsumer, DesiredStream, MANAGED_KEY};
use super::{is_managed, loss, metadata, subjects, words};
use crate::plan::{Change, Effect, Plan};

type Config = Map<String, Value>;

/// A plan and the requests that carry it out.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) plan: Plan,
    pub(super) steps: Vec<Step>,
}

/// One request to the server.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) object: String,
    pub(super) request: Request,
}

#[derive(Debug)]
pub(super) enum Request {
    CreateStream { name: String, config: Config },
    UpdateStream { name: String, config: Config },
    PutConsumer { stream: String, name: String, config: Config },
    RemoveStream { name: String },
    RemoveConsumer { stream: String, name: String },
}

impl Work {
    fn add(&mut self, object: String, changes: Vec<Change>, request: Request) {
        if changes.is_empty() {
            return;
        }
        self.plan.changes.extend(changes);
        self.steps.push(Step { object, request });
    }

    fn append(&mut self, mut later: Self) {
        self.plan.changes.append(&mut later.plan.changes);
        self.plan.notes.append(&mut later.plan.notes);
        self.steps.append(&mut later.steps);
    }
}

/// The difference between what is declared and what the server has.
pub(super) async fn between(server: &Server<'_>, desired: &Desired) -> Result<Work, ServerError> {
    let found = server.streams().await?;
    let mut first = removed_streams(desired, &found);
    let mut later = Work::default();
    for stream in &desired.streams {
        let existing = found.iter().find(|found| found.name == stream.name);
        let work = match existing {
            None => new_stream(stream),
            Some(existing) => changed_stream(server, stream, existing).await?,
        };
        let frees_a_subject = work.plan.changes.iter().any(|change| {
            change.field == "subjects" && matches!(change.effect, Effect::Destructive { .. })
        });
        if frees_a_subject { first.append(work) } else { later.append(work) }
    }
    first.append(later);
    first.plan.changes.extend(foreign_captures(desired, &found));
    Ok(first)
}

fn removed_streams(desired: &Desired, found: &[Found]) -> Work {
    let mut work = Work::default();
    for stream in found {
        if desired.streams.iter().any(|declared| declared.name == stream.name) {
            continue;
        }
        let object = stream_object(&stream.name);
        if !is_managed(&stream.config) {
            work.plan.notes.push(format!("{object} is not managed by these files: left alone"));
            continue;
        }
        let change = Change {
            object: object.clone(),
            field: String::new(),
            before: Some(Value::Object(stream.config.clone())),
            after: None,
            effect: loss::of_removed_stream(stream),
        };
        work.add(object, vec![change], Request::RemoveStream { name: stream.name.clone() });
    }
    work
}

fn new_stream(stream: &DesiredStream) -> Work {
    let mut work = Work::default();
    let object = stream_object(&stream.name);
    let changes = created(&object, fields::STREAM, &stream.config);
    let (name, config) = (stream.name.clone(), stream.config.clone());
    work.add(object, changes, Request::CreateStream { name, config });
    for consumer in &stream.consumers {
        work.append(new_consumer(&stream.name, consumer));
    }
    work
}

fn new_consumer(stream: &str, consumer: &DesiredConsumer) -> Work {
    let mut work = Work::default();
    let object = consumer_object(stream, &consumer.name);
    let changes = created(&object, fields::CONSUMER, &consumer.config);
    work.add(object, changes, put(stream, &consumer.name, consumer.config.clone()));
    work
}

async fn changed_stream(
    server: &Server<'_>,
    stream: &DesiredStream,
    existing: &Found,
) -> Result<Work, ServerError> {
    let mut work = Work::default();
    let object = stream_object(&stream.name);
    if !is_managed(&existing.config) {
        work.plan.notes.push(format!("{object} exists unmanaged: apply adopts it"));
    }
    let mut changes = Vec::new();
    for mut change in differences(&object, fields::STREAM, &existing.config, &stream.config) {
        if change.effect == UNDECIDED {
            let after = change.after.clone().unwrap_or_default();
            let config = &stream.config;
            change.effect =
                loss::of_stream(server, existing, &change.field, &after, config).await?;
        }
        changes.push(change);
    }
    let config = overlay(fields::STREAM, &existing.config, &stream.config);
    work.add(object, changes, Request::UpdateStream { name: stream.name.clone(), config });
    let consumers = consumers(server, stream, existing, &mut work.plan.notes).await?;
    // A removed consumer goes before the mark that remembers it, so that a broken apply finds it.
    let (removals, puts): (Vec<Work>, Vec<Work>) = consumers.into_iter().partition(|work| {
        work.steps.iter().any(|step| matches!(step.request, Request::RemoveConsumer { .. }))
    });
    let mut ordered = Work::default();
    removals.into_iter().for_each(|removal| ordered.append(removal));
    ordered.append(work);
    puts.into_iter().for_each(|put| ordered.append(put));
    Ok(ordered)
}

/// The declared consumers of an existing stream, and those that a file declared before.
async fn consumers(
    server: &Server<'_>,
    stream: &DesiredStream,
    existing: &Found,
    notes: &mut Vec<String>,
) -> Result<Vec<Work>, ServerError> {
    let mut works = Vec::new();
    let mut ours = 0;
    for consumer in &stream.consumers {
        let Some(found) = server.consumer(&stream.name, &consumer.name).await? else {
            works.push(new_consumer(&stream.name, consumer));
            continue;
        };
        ours += 1;
        let object = consumer_object(&stream.name, &consumer.name);
        if !is_managed(&found.config) {
            notes.push(format!("{object} exists unmanaged: apply adopts it"));
        }
        let mut changes = differences(&object, fields::CONSUMER, &found.config, &consumer.config);
        for change in changes.iter_mut().filter(|change| change.effect == UNDECIDED) {
            change.effect = loss::of_filters(&found, &consumer.config);
        }
        let config = overlay(fields::CONSUMER, &found.config, &consumer.config);
        let mut work = Work::default();
        work.add(object, changes, put(&stream.name, &consumer.name, config));
        works.push(work);
    }
    let remembered = metadata(&existing.config, CONSUMERS_KEY).unwrap_or_default();
    for name in remembered.split(',').filter(|name| !name.is_empty()) {
        if stream.consumers.iter().any(|consumer| consumer.name == name) {
            continue;
        }
        let found = server.consumer(&stream.name, name).await?;
        let Some(found) = found.filter(|found| is_managed(&found.config)) else {
            continue;
        };
        ours += 1;
        works.push(removed_consumer(&stream.name, &found));
    }
    let others = existing.number("/state/consumer_count").saturating_sub(ours);
    if others > 0 {
        let object = stream_object(&stream.name);
        notes.push(format!(
            "{object} has {others} consumer(s) not managed by these files: left alone"
        ));
    }
    Ok(works)
}

fn removed_consumer(stream: &str, found: &Found) -> Work {
    let object = consumer_object(stream, &found.name);
    let change = Change {
        object: object.clone(),
        field: String::new(),
        before: Some(Value::Object(found.config.clone())),
        after: None,
        effect: loss::of_removed_consumer(found),
    };
    let (stream, name) = (stream.to_owned(), found.name.clone());
    let mut work = Work::default();
    work.add(object, vec![change], Request::RemoveConsumer { stream, name });
    work
}

/// A subject that a stream of somebody else captures cannot be captured by ours too.
fn foreign_captures(desired: &Desired, found: &[Found]) -> Vec<Change> {
    let mut changes = Vec::new();
    for stream in &desired.streams {
        for foreign in found {
            let declared = desired.streams.iter().any(|declared| declared.name == foreign.name);
            if declared || is_managed(&foreign.config) {
                continue;
            }
            for subject in words(&stream.config, "subjects") {
                let theirs = words(&foreign.config, "subjects");
                let Some(met) = theirs.iter().find(|theirs| subjects::meet(subject, theirs)) else {
                    continue;
                };
                let remedy = format!(
                    "stream {}, which is not managed by these files, captures {met}; change or remove it by hand",
                    foreign.name
                );
                changes.push(Change {
                    object: stream_object(&stream.name),
                    field: "subjects".to_owned(),
                    before: None,
                    after: Some(subject.into()),
                    effect: Effect::Immutable { remedy },
                });
            }
        }
    }
    changes
}

/// Stands for "ask [`loss`]" until that was done; no plan leaves this file with it.
const UNDECIDED: Effect = Effect::Remove;

fn differences(object: &str, table: &[Field], found: &Config, declared: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    for field in table {
        if field.otherwise == Otherwise::ServersChoice && !declared.contains_key(field.name) {
            continue;
        }
        if field.name == "metadata" {
            changes.extend(metadata_differences(object, found, declared));
            continue;
        }
        let (before, after) = (fields::value(found, field), fields::value(declared, field));
        if before == after {
            continue;
        }
        changes.push(Change {
            object: object.to_owned(),
            field: field.name.to_owned(),
            effect: effect(object, field, &before, &after),
            before: (!before.is_null()).then_some(before),
            after: (!after.is_null()).then_some(after),
        });
    }
    changes
}

fn effect(object: &str, field: &Field, before: &Value, after: &Value) -> Effect {
    let fixed = match field.change {
        Rule::Free => return Effect::Update,
        Rule::MayLose => return UNDECIDED,
        Rule::OnlyOn if after == &Value::Bool(true) => return Effect::Update,
        Rule::OnlyOn => "it cannot be switched off again",
        Rule::Never => "the server fixes it at creation",
    };
    let remedy = format!(
        "{fixed}; keep {before} in the file, or drain and remove the {object} by hand and apply again"
    );
    Effect::Immutable { remedy }
}

fn metadata_differences(object: &str, found: &Config, declared: &Config) -> Vec<Change> {
    let (before, after) = (own_metadata(found), own_metadata(declared));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut changes = Vec::new();
    for key in keys {
        if before.get(key) == after.get(key) {
            continue;
        }
        changes.push(Change {
            object: object.to_owned(),
            field: format!("metadata.{key}"),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
            effect: Effect::Update,
        });
    }
    changes
}

/// The metadata without the keys that the server writes.
fn own_metadata(config: &Config) -> Config {
    let pairs = config.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    pairs.into_iter().filter(|(key, _)| !key.starts_with("_nats.")).collect()
}

fn created(object: &str, table: &[Field], config: &Config) -> Vec<Change> {
    let shown = table.iter().filter(|field| !matches!(field.name, "name" | "durable_name"));
    let mut changes = Vec::new();
    for field in shown {
        let Some(value) = config.get(field.name) else {
            continue;
        };
        let mut value = value.clone();
        if let Some(pairs) = value.as_object_mut().filter(|_| field.name == "metadata") {
            pairs.remove(MANAGED_KEY);
            pairs.remove(CONSUMERS_KEY);
            if pairs.is_empty() {
                continue;
            }
        }
        changes.push(Change {
            object: object.to_owned(),
            field: field.name.to_owned(),
            before: None,
            after: Some(value),
            effect: Effect::Create,
        });
    }
    changes
}

/// What the server has, with every field that the files speak for replaced.
fn overlay(table: &[Field], found: &Config, declared: &Config) -> Config {
    let mut config = found.clone();
    for field in table {
        if field.otherwise == Otherwise::ServersChoice && !declared.contains_key(field.name) {
            continue;
        }
        match fields::value(declared, field) {
            Value::Null => config.remove(field.name),
            value => config.insert(field.name.to_owned(), value),
        };
    }
    config
}

fn put(stream: &str, name: &str, config: Config) -> Request {
    Request::PutConsumer { stream: stream.to_owned(), name: name.to_owned(), config }
}

fn stream_object(name: &str) -> String {
    format!("stream {name}")
}

fn consumer_object(stream: &str, name: &str) -> String {
    format!("consumer {stream}/{name}")
}
