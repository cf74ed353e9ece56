//! What a change would lose, counted on the server where that is cheap.
//!
//! Promises: a change that could lose messages, or copies of them, is never called an update; the
//! text says how many messages, or what else. Counts are as of the moment of the plan. Refuses to
//! read payloads or to create anything on the server in order to count.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::compare::Difference;
use super::server::{Found, Server, ServerError};
use super::{rules, subjects, words};
use crate::plan::Effect;

type Config = Map<String, Value>;

/// What a difference in a field of a stream does.
pub(super) async fn of_stream(
    server: &Server<'_>,
    stream: &Found,
    difference: &Difference,
    desired: &Config,
) -> Result<Effect, ServerError> {
    let before = difference.before.as_ref().unwrap_or(&Value::Null);
    let after = difference.after.as_ref().unwrap_or(&Value::Null);
    let messages = stream.number("/state/messages");
    let bytes = stream.number("/state/bytes");
    let loses = match difference.field.as_str() {
        "retention" => return Ok(retention(before, after, messages)),
        "subjects" => subjects_removed(server, stream, desired).await?,
        "discard" => (before == "new").then(|| {
            format!(
                "the refusal of new messages: when full, the oldest are dropped instead (now {bytes} bytes)"
            )
        }),
        "discard_new_per_subject" => (before == true).then(|| {
            "the refusal of new messages for a full subject: its oldest are dropped instead"
                .to_owned()
        }),
        "num_replicas" => (after.as_u64() < before.as_u64()).then(|| {
            let copies = before.as_u64().unwrap_or(1).saturating_sub(after.as_u64().unwrap_or(1));
            format!("{copies} of {before} copies of each of the {messages} messages")
        }),
        "max_age" if tighter(before, after) => Some(older(server, stream, after).await?),
        "max_bytes" if tighter(before, after) => Some(beyond_bytes(stream, after)),
        "max_msgs" if tighter(before, after) => {
            let beyond = messages.saturating_sub(after.as_u64().unwrap_or_default());
            Some(on_limit(stream, &format!("the oldest {beyond} of {messages} messages")))
        }
        "max_msgs_per_subject" if tighter(before, after) => {
            Some(beyond_per_subject(server, stream, after).await?)
        }
        "max_msg_size" if tighter(before, after) => {
            Some(format!("new messages above {after} bytes: the stream would refuse them"))
        }
        _ => None,
    };
    Ok(loses.map_or(Effect::Update, |loses| Effect::Destructive { loses }))
}

/// What changing a consumer's filters does: what no filter names any more is not delivered.
pub(super) fn of_filters(consumer: &Found, desired: &Config) -> Effect {
    let (before, after) = (rules::filters(&consumer.config), rules::filters(desired));
    let covered = |old: &str| after.iter().any(|new| subjects::within(old, new));
    let all_before = before.is_empty() || before.contains(&">");
    let narrower = !after.is_empty() && (all_before || before.iter().any(|old| !covered(old)));
    if !narrower {
        return Effect::Update;
    }
    let loses = format!(
        "deliveries: of {} messages that wait for this consumer, those outside {} are never given to it",
        consumer.number("/num_pending"),
        after.join(", ")
    );
    Effect::Destructive { loses }
}

/// What removing a stream loses.
pub(super) fn of_removed_stream(stream: &Found) -> Effect {
    let loses = format!(
        "{} messages ({} bytes), and {} consumers with their positions",
        stream.number("/state/messages"),
        stream.number("/state/bytes"),
        stream.number("/state/consumer_count")
    );
    Effect::Destructive { loses }
}

/// What removing a consumer loses.
pub(super) fn of_removed_consumer(consumer: &Found) -> Effect {
    let loses = format!(
        "its position: {} messages wait for it, {} are delivered and not acknowledged",
        consumer.number("/num_pending"),
        consumer.number("/num_ack_pending")
    );
    Effect::Destructive { loses }
}

fn retention(before: &Value, after: &Value, messages: u64) -> Effect {
    if before == "workqueue" || after == "workqueue" {
        let remedy = format!(
            "the server cannot turn {before} into {after}; declare a stream of another name with its own subjects, drain this one, then remove it"
        );
        return Effect::Immutable { remedy };
    }
    if after == "interest" {
        let loses = format!(
            "of {messages} messages, those that every consumer has acknowledged, and new ones that no consumer wants"
        );
        return Effect::Destructive { loses };
    }
    Effect::Update
}

async fn subjects_removed(
    server: &Server<'_>,
    stream: &Found,
    desired: &Config,
) -> Result<Option<String>, ServerError> {
    let after = words(desired, "subjects");
    let mut texts = Vec::new();
    for old in words(&stream.config, "subjects") {
        if after.iter().any(|new| subjects::within(old, new)) {
            continue;
        }
        let held: u64 = server.by_subject(&stream.name, old).await?.iter().sum();
        texts.push(format!(
            "new messages on {old} that no other subject covers: nothing captures them ({held} held ones stay)"
        ));
    }
    Ok((!texts.is_empty()).then(|| texts.join("; ")))
}

async fn older(server: &Server<'_>, stream: &Found, after: &Value) -> Result<String, ServerError> {
    let messages = stream.number("/state/messages");
    if messages == 0 {
        return Ok("no message now: the stream is empty".to_owned());
    }
    let age = Duration::from_nanos(after.as_u64().unwrap_or_default());
    let cutoff = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
    let kept_from = server.first_since(&stream.name, cutoff).await?;
    let older = match kept_from {
        None => messages,
        Some(sequence) => sequence.saturating_sub(stream.number("/state/first_seq")).min(messages),
    };
    let gaps = if stream.number("/state/num_deleted") == 0 { "" } else { "up to " };
    Ok(format!("{gaps}{older} of {messages} messages, older than the new age"))
}

fn beyond_bytes(stream: &Found, after: &Value) -> String {
    let bytes = stream.number("/state/bytes");
    let beyond = bytes.saturating_sub(after.as_u64().unwrap_or_default());
    let messages = stream.number("/state/messages");
    // The average size is the best that can be known without reading the stream.
    let about =
        if bytes == 0 { 0 } else { u128::from(messages) * u128::from(beyond) / u128::from(bytes) };
    on_limit(
        stream,
        &format!("the oldest {beyond} of {bytes} bytes, about {about} of {messages} messages"),
    )
}

async fn beyond_per_subject(
    server: &Server<'_>,
    stream: &Found,
    after: &Value,
) -> Result<String, ServerError> {
    let most = after.as_u64().unwrap_or_default();
    let counts = server.by_subject(&stream.name, ">").await?;
    let beyond: u64 = counts.iter().map(|count| count.saturating_sub(most)).sum();
    let complete = counts.len() as u64 >= stream.number("/state/num_subjects");
    let at_least = if complete { "" } else { "at least " };
    Ok(format!("{at_least}{beyond} messages, the oldest of subjects with more than {most}"))
}

/// A full stream drops the oldest or refuses the newest, by what it has now.
fn on_limit(stream: &Found, oldest: &str) -> String {
    if stream.config.get("discard").is_some_and(|discard| discard == "new") {
        return format!(
            "no held message, but new ones are refused while it holds more: {oldest} are above the limit"
        );
    }
    oldest.to_owned()
}

/// Whether a limit gets smaller; 0, -1 and nothing mean unlimited.
fn tighter(before: &Value, after: &Value) -> bool {
    let limit = |value: &Value| value.as_i64().filter(|limit| *limit > 0).unwrap_or(i64::MAX);
    limit(after) < limit(before)
}
