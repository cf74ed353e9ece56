//! What the declared streams and consumers hold now, beside whether they are in sync.
//!
//! Promises: one row a declared stream, also when it is missing. Refuses to change anything.

use serde::Serialize;
use serde_json::Value;

use super::server::{Found, Server, ServerError};
use super::{Desired, DesiredStream, difference};
use crate::Broker;
use crate::plan::Plan;

/// How a declared stream or consumer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As declared.
    InSync,
    /// There, but not as declared.
    Differs,
    /// Not there.
    Missing,
}

/// All declared streams.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// One entry a declared stream, by name.
    pub streams: Vec<StreamStatus>,
    /// What `plan` would show.
    pub plan: Plan,
}

/// One declared stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// Whether it is as declared; its consumers have their own.
    pub health: Health,
    /// Messages held.
    pub messages: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Most bytes that it may hold; 0 for unlimited.
    pub max_bytes: u64,
    /// When the oldest held message was taken (RFC 3339); absent when there is none.
    pub oldest: Option<String>,
    /// Sequence of the newest message ever taken.
    pub last_sequence: u64,
    /// Consumers of it, those of devices included.
    pub consumer_count: u64,
    /// The declared consumers.
    pub consumers: Vec<ConsumerStatus>,
}

/// One declared consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerStatus {
    /// Its name.
    pub name: String,
    /// Whether it is as declared.
    pub health: Health,
    /// Messages that wait to be delivered.
    pub pending: u64,
    /// Messages that are delivered and not yet acknowledged.
    pub ack_pending: u64,
    /// Messages among these that were delivered more than once.
    pub redelivered: u64,
    /// Pull requests of receivers that wait at the server.
    pub waiting_pulls: u64,
    /// Whether an operator has paused it on the server.
    pub paused: bool,
}

impl StreamStatus {
    /// How full it is, in percent of its bytes; 0 for unlimited.
    #[must_use]
    pub fn percent_full(&self) -> u64 {
        self.bytes.saturating_mul(100).checked_div(self.max_bytes).unwrap_or_default()
    }
}

/// Looks at every declared stream and consumer.
///
/// # Errors
/// The broker does not answer, or may not be asked by this user.
pub async fn status(broker: &Broker, desired: &Desired) -> Result<Status, ServerError> {
    let server = Server::new(broker.jetstream());
    let plan = difference::between(&server, desired).await?.plan;
    let found = server.streams().await?;
    let mut streams = Vec::new();
    for stream in &desired.streams {
        let existing = found.iter().find(|found| found.name == stream.name);
        streams.push(of_stream(&server, stream, existing, &plan).await?);
    }
    Ok(Status { streams, plan })
}

async fn of_stream(
    server: &Server<'_>,
    stream: &DesiredStream,
    existing: Option<&Found>,
    plan: &Plan,
) -> Result<StreamStatus, ServerError> {
    let mut consumers = Vec::new();
    for consumer in &stream.consumers {
        let found = server.consumer(&stream.name, &consumer.name).await?;
        let object = difference::consumer_object(&stream.name, &consumer.name);
        let number = |pointer| found.as_ref().map_or(0, |found| found.number(pointer));
        consumers.push(ConsumerStatus {
            name: consumer.name.clone(),
            health: health(found.is_some(), &object, plan),
            pending: number("/num_pending"),
            ack_pending: number("/num_ack_pending"),
            redelivered: number("/num_redelivered"),
            waiting_pulls: number("/num_waiting"),
            paused: found.as_ref().is_some_and(|found| found.info["paused"] == Value::Bool(true)),
        });
    }
    let number = |pointer| existing.map_or(0, |found| found.number(pointer));
    let oldest = existing.filter(|_| number("/state/messages") > 0).and_then(|found| {
        found.info.pointer("/state/first_ts").and_then(Value::as_str).map(str::to_owned)
    });
    Ok(StreamStatus {
        name: stream.name.clone(),
        health: health(existing.is_some(), &difference::stream_object(&stream.name), plan),
        messages: number("/state/messages"),
        bytes: number("/state/bytes"),
        max_bytes: number("/config/max_bytes"),
        oldest,
        last_sequence: number("/state/last_seq"),
        consumer_count: number("/state/consumer_count"),
        consumers,
    })
}

fn health(exists: bool, object: &str, plan: &Plan) -> Health {
    if !exists {
        return Health::Missing;
    }
    if plan.objects().contains(&object) { Health::Differs } else { Health::InSync }
}
