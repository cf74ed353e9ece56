//! The difference between the files and the server, and the requests that would end it.
//!
//! Promises: the steps stand in an order in which the server takes them: what frees a subject
//! comes before what captures it ([`super::order`]), a stream before its consumers. Refuses: to look at consumers
//! that were not declared in a file, since every device has one.

use serde_json::{Map, Value};

use super::compare::{self, Difference};
use super::fields::{self, Change as Rule, Field};
use super::order::{self, Pending};
use super::server::{Found, Server, ServerError};
use super::{CONSUMERS_KEY, Desired, DesiredConsumer, DesiredStream};
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
    fn of(object: &str, changes: Vec<Change>, request: Request) -> Self {
        if changes.is_empty() {
            return Self::default();
        }
        let step = Step { object: object.to_owned(), request };
        Self { plan: Plan { changes, notes: Vec::new() }, steps: vec![step] }
    }

    pub(super) fn then(mut self, mut later: Self) -> Self {
        self.plan.changes.append(&mut later.plan.changes);
        self.plan.notes.append(&mut later.plan.notes);
        self.steps.append(&mut later.steps);
        self
    }

    fn note(&mut self, text: String) {
        self.plan.notes.push(text);
    }
}

/// The difference between what is declared and what the server has.
pub(super) async fn between(server: &Server<'_>, desired: &Desired) -> Result<Work, ServerError> {
    let found = server.streams().await?;
    let mut pending = Vec::new();
    for stream in &desired.streams {
        let existing = found.iter().find(|found| found.name == stream.name);
        let work = match existing {
            None => new_stream(stream),
            Some(existing) => changed_stream(server, stream, existing).await?,
        };
        pending.push(Pending { stream, existing, work });
    }
    let mut work = removed_streams(desired, &found).then(order::ordered(pending));
    work.plan.changes.extend(foreign_captures(desired, &found));
    Ok(work)
}

fn removed_streams(desired: &Desired, found: &[Found]) -> Work {
    let mut work = Work::default();
    for stream in found {
        if desired.streams.iter().any(|declared| declared.name == stream.name) {
            continue;
        }
        let object = stream_object(&stream.name);
        if !is_managed(&stream.config) {
            work.note(format!("{object} is not managed by these files: left alone"));
            continue;
        }
        let change = removed(&object, stream, loss::of_removed_stream(stream));
        let request = Request::RemoveStream { name: stream.name.clone() };
        work = work.then(Work::of(&object, vec![change], request));
    }
    work
}

fn new_stream(stream: &DesiredStream) -> Work {
    let object = stream_object(&stream.name);
    let changes = created(&object, fields::STREAM, &stream.config);
    let (name, config) = (stream.name.clone(), stream.config.clone());
    let mut work = Work::of(&object, changes, Request::CreateStream { name, config });
    for consumer in &stream.consumers {
        work = work.then(new_consumer(&stream.name, consumer));
    }
    work
}

fn new_consumer(stream: &str, consumer: &DesiredConsumer) -> Work {
    let object = consumer_object(stream, &consumer.name);
    let changes = created(&object, fields::CONSUMER, &consumer.config);
    Work::of(&object, changes, put(stream, &consumer.name, consumer.config.clone()))
}

/// Removed consumers go first, before the mark that remembers them: a broken apply finds them again.
async fn changed_stream(
    server: &Server<'_>,
    stream: &DesiredStream,
    existing: &Found,
) -> Result<Work, ServerError> {
    let (removals, removed) = removed_consumers(server, stream, existing).await?;
    let object = stream_object(&stream.name);
    let mut changes = Vec::new();
    for difference in compare::differences(fields::STREAM, &existing.config, &stream.config) {
        let effect = match settled(&object, &difference) {
            Some(effect) => effect,
            None => loss::of_stream(server, existing, &difference, &stream.config).await?,
        };
        changes.push(change(&object, difference, effect));
    }
    let config = compare::overlay(fields::STREAM, &existing.config, &stream.config);
    let update = Request::UpdateStream { name: stream.name.clone(), config };
    let mut work = removals.then(Work::of(&object, changes, update));
    if !is_managed(&existing.config) {
        work.note(format!("{object} exists unmanaged: apply adopts it"));
    }
    let mut ours = removed;
    for consumer in &stream.consumers {
        let found = server.consumer(&stream.name, &consumer.name).await?;
        ours += u64::from(found.is_some());
        work = work.then(match found {
            None => new_consumer(&stream.name, consumer),
            Some(found) => changed_consumer(&stream.name, consumer, &found),
        });
    }
    let others = existing.number("/state/consumer_count").saturating_sub(ours);
    if others > 0 {
        work.note(format!(
            "{object} has {others} consumer(s) not managed by these files: left alone"
        ));
    }
    Ok(work)
}

fn changed_consumer(stream: &str, consumer: &DesiredConsumer, found: &Found) -> Work {
    let object = consumer_object(stream, &consumer.name);
    let mut changes = Vec::new();
    for difference in compare::differences(fields::CONSUMER, &found.config, &consumer.config) {
        let effect = settled(&object, &difference)
            .unwrap_or_else(|| loss::of_filters(found, &consumer.config));
        changes.push(change(&object, difference, effect));
    }
    let config = compare::overlay(fields::CONSUMER, &found.config, &consumer.config);
    let mut work = Work::of(&object, changes, put(stream, &consumer.name, config));
    if !is_managed(&found.config) {
        work.note(format!("{object} exists unmanaged: apply adopts it"));
    }
    work
}

/// The consumers that a file declared before and none declares now, and how many they are.
async fn removed_consumers(
    server: &Server<'_>,
    stream: &DesiredStream,
    existing: &Found,
) -> Result<(Work, u64), ServerError> {
    let mut work = Work::default();
    let mut count = 0;
    let remembered = metadata(&existing.config, CONSUMERS_KEY).unwrap_or_default();
    for name in remembered.split(',').filter(|name| !name.is_empty()) {
        if stream.consumers.iter().any(|consumer| consumer.name == name) {
            continue;
        }
        let found = server.consumer(&stream.name, name).await?;
        // Without our mark it is one that somebody made anew by hand.
        let Some(found) = found.filter(|found| is_managed(&found.config)) else {
            continue;
        };
        count += 1;
        let object = consumer_object(&stream.name, name);
        let change = removed(&object, &found, loss::of_removed_consumer(&found));
        let (stream, name) = (stream.name.clone(), name.to_owned());
        let request = Request::RemoveConsumer { stream, name };
        work = work.then(Work::of(&object, vec![change], request));
    }
    Ok((work, count))
}

/// A subject that a stream of somebody else captures cannot be captured by ours too.
fn foreign_captures(desired: &Desired, found: &[Found]) -> Vec<Change> {
    let declared = |name: &str| desired.streams.iter().any(|stream| stream.name == name);
    let foreign = |found: &&Found| !declared(&found.name) && !is_managed(&found.config);
    let mut changes = Vec::new();
    for foreign in found.iter().filter(foreign) {
        let theirs = words(&foreign.config, "subjects");
        for stream in &desired.streams {
            for subject in words(&stream.config, "subjects") {
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

/// What a difference does, where the field alone decides it.
fn settled(object: &str, difference: &Difference) -> Option<Effect> {
    let fixed = match difference.rule {
        Rule::Free => return Some(Effect::Update),
        Rule::MayLose => return None,
        Rule::OnlyOn if difference.after == Some(Value::Bool(true)) => return Some(Effect::Update),
        Rule::OnlyOn => "it cannot be switched off again",
        Rule::Never => "the server fixes it at creation",
    };
    let before = difference.before.clone().unwrap_or_default();
    let remedy = format!(
        "{fixed}; keep {before} in the file, or drain and remove the {object} by hand and apply again"
    );
    Some(Effect::Immutable { remedy })
}

fn change(object: &str, difference: Difference, effect: Effect) -> Change {
    let Difference { field, before, after, .. } = difference;
    Change { object: object.to_owned(), field, before, after, effect }
}

fn created(object: &str, table: &[Field], config: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    for (field, value) in compare::stated(table, config) {
        changes.push(Change {
            object: object.to_owned(),
            field,
            before: None,
            after: Some(value),
            effect: Effect::Create,
        });
    }
    changes
}

fn removed(object: &str, found: &Found, effect: Effect) -> Change {
    Change {
        object: object.to_owned(),
        field: String::new(),
        before: Some(Value::Object(found.config.clone())),
        after: None,
        effect,
    }
}

fn put(stream: &str, name: &str, config: Config) -> Request {
    Request::PutConsumer { stream: stream.to_owned(), name: name.to_owned(), config }
}

/// How plans and errors name a stream.
pub(super) fn stream_object(name: &str) -> String {
    format!("stream {name}")
}

/// How plans and errors name a consumer.
pub(super) fn consumer_object(stream: &str, name: &str) -> String {
    format!("consumer {stream}/{name}")
}
