//! What a durable consumer has done, has before it, and up to when all is applied.

use std::time::Duration;

use protocol::{MessageId, UnixMillis};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::stream_info::{StreamInfo, StreamState, StreamUsage};
use crate::{Broker, BrokerGone, Delivery};

/// Where a durable consumer stands.
#[derive(Clone, Debug, Deserialize)]
pub struct ConsumerState {
    /// Messages that no receiver has been given yet.
    pub num_pending: u64,
    /// Messages that a receiver holds and has not settled.
    pub num_ack_pending: u64,
    /// Messages that were delivered more than once and are not settled.
    pub num_redelivered: u64,
    /// Requests for messages that wait at the server: 0 where nobody pulls.
    pub num_waiting: u64,
    /// Somebody paused it: it delivers nothing until resumed.
    #[serde(default)]
    pub paused: bool,
    #[serde(with = "time::serde::rfc3339", rename = "ts")]
    answered: OffsetDateTime,
    ack_floor: AckFloor,
    delivered: Delivered,
    config: ConsumerLimits,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Delivered {
    consumer_seq: u64,
    stream_seq: u64,
    #[serde(default, with = "time::serde::rfc3339::option", rename = "last_active")]
    newest: Option<OffsetDateTime>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct AckFloor {
    stream_seq: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct ConsumerLimits {
    #[serde(default)]
    ack_wait: u64,
    /// -1 where there is no limit.
    #[serde(default)]
    max_deliver: i64,
}

impl ConsumerState {
    /// The server's clock when it answered.
    #[must_use]
    pub fn server_time(&self) -> UnixMillis {
        millis(self.answered)
    }

    /// Every message up to this sequence is settled.
    #[must_use]
    pub const fn settled_until(&self) -> u64 {
        self.ack_floor.stream_seq
    }

    /// How long a delivery may stay unsettled before it is delivered again.
    #[must_use]
    pub const fn ack_wait(&self) -> Duration {
        Duration::from_nanos(self.config.ack_wait)
    }

    /// Deliveries so far, repeated ones included.
    #[must_use]
    pub const fn deliveries(&self) -> u64 {
        self.delivered.consumer_seq
    }

    /// Sequence of the newest message that was delivered.
    #[must_use]
    pub const fn delivered_until(&self) -> u64 {
        self.delivered.stream_seq
    }

    /// Whether the server has delivered something since it was started, or never had to.
    pub(crate) const fn remembers_deliveries(&self) -> bool {
        self.delivered.newest.is_some() || self.delivered.consumer_seq == 0
    }

    /// Whether every message of the stream is settled.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.num_pending == 0 && self.num_ack_pending == 0
    }
}

/// A message as a stream keeps it.
#[derive(Clone, Debug)]
pub struct StoredMessage {
    /// The subject as the broker stamped it.
    pub subject: String,
    /// The sender's id, where it gave one within the rule.
    pub message_id: Option<MessageId>,
    /// When the broker took it.
    pub published: UnixMillis,
    /// The payload, byte for byte.
    pub payload: bytes::Bytes,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reply<T> {
    Failed { error: ApiError },
    Done(T),
}

#[derive(Deserialize)]
struct ApiError {
    code: u16,
    description: String,
}

const NOT_FOUND: u16 = 404;

impl ApiError {
    fn to(&self, question: &str) -> BrokerGone {
        let Self { code, description } = self;
        BrokerGone(format!("{question}: {description} ({code}); run `wegweiser streams apply`"))
    }
}

impl Broker {
    /// Where a durable consumer stands.
    ///
    /// # Errors
    /// The broker does not answer, or there is no such stream or consumer.
    pub async fn consumer_state(
        &self,
        stream: &str,
        consumer: &str,
    ) -> Result<ConsumerState, BrokerGone> {
        self.info(&format!("CONSUMER.INFO.{stream}.{consumer}")).await
    }

    /// How often a consumer delivers a message that nobody settles; `None` where it has no limit,
    /// or is gone.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn permitted_deliveries(
        &self,
        stream: &str,
        consumer: &str,
    ) -> Result<Option<u64>, BrokerGone> {
        let question = format!("CONSUMER.INFO.{stream}.{consumer}");
        match self.ask::<ConsumerState>(&question).await? {
            Reply::Done(state) => Ok(u64::try_from(state.config.max_deliver).ok()),
            Reply::Failed { error } if error.code == NOT_FOUND => Ok(None),
            Reply::Failed { error } => Err(error.to(&question)),
        }
    }

    /// What a stream holds.
    ///
    /// # Errors
    /// The broker does not answer, or there is no such stream.
    pub async fn stream_state(&self, stream: &str) -> Result<StreamState, BrokerGone> {
        let info: StreamInfo = self.info(&format!("STREAM.INFO.{stream}")).await?;
        Ok(info.state)
    }

    /// What a stream holds, and how full it is.
    ///
    /// # Errors
    /// The broker does not answer, or there is no such stream.
    pub async fn stream_standing(
        &self,
        stream: &str,
    ) -> Result<(StreamState, StreamUsage), BrokerGone> {
        let info: StreamInfo = self.info(&format!("STREAM.INFO.{stream}")).await?;
        Ok((info.state, info.usage()))
    }

    /// How full a stream is.
    ///
    /// # Errors
    /// The broker does not answer, or there is no such stream.
    pub async fn stream_usage(&self, stream: &str) -> Result<StreamUsage, BrokerGone> {
        self.stream_standing(stream).await.map(|(_, usage)| usage)
    }

    async fn info<T: DeserializeOwned>(&self, question: &str) -> Result<T, BrokerGone> {
        match self.ask(question).await? {
            Reply::Done(state) => Ok(state),
            Reply::Failed { error } => {
                self.count_jetstream_error();
                Err(error.to(question))
            }
        }
    }

    async fn ask<T: DeserializeOwned>(&self, question: &str) -> Result<Reply<T>, BrokerGone> {
        let subject = format!("$JS.API.{question}");
        let answer = self.client().request(subject, bytes::Bytes::new()).await;
        let answer = answer.map_err(|error| BrokerGone(error.to_string()))?;
        let reply = serde_json::from_slice(&answer.payload);
        reply.map_err(|error| BrokerGone(format!("unreadable answer: {error}")))
    }

    /// The broker's time up to which every message of the stream is settled: now where nothing
    /// is left, else when the oldest unsettled message came. A message that used up its deliveries
    /// holds it back until the consumer is idle for an instant; it never runs ahead.
    ///
    /// # Errors
    /// The broker does not answer, or there is no such stream or consumer.
    pub async fn applied_until(
        &self,
        stream: &str,
        consumer: &str,
    ) -> Result<UnixMillis, BrokerGone> {
        let state = self.consumer_state(stream, consumer).await?;
        if state.is_drained() {
            return Ok(state.server_time());
        }
        let unsettled = state.ack_floor.stream_seq.saturating_add(1);
        let next = self.message_from(stream, unsettled).await?;
        Ok(next.map_or(state.server_time(), |message| message.published))
    }

    /// How long the oldest message that a consumer has not settled lies in its stream, in
    /// milliseconds; 0 where none does.
    ///
    /// # Errors
    /// The broker does not answer, or there is no such stream or consumer.
    pub async fn behind_ms(&self, stream: &str, consumer: &str) -> Result<i64, BrokerGone> {
        let state = self.consumer_state(stream, consumer).await?;
        if state.is_drained() {
            return Ok(0);
        }
        let settled = self.applied_until(stream, consumer).await?;
        Ok(state.server_time().since(settled).max(0))
    }

    /// The message of that sequence, or `None` where retention has removed it, or its stream is
    /// gone.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn stored_message(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<StoredMessage>, BrokerGone> {
        use async_nats::jetstream::ErrorCode;
        use async_nats::jetstream::stream::RawMessageErrorKind;
        let handle = self.stream_handle(stream).await?;
        // The leader is asked: a copy may not have the message yet.
        let error = match handle.get_raw_message(sequence).await {
            Ok(message) => return Ok(Some(stored(message))),
            Err(error) => error,
        };
        match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(BrokerGone(error.to_string())),
        }
    }

    /// A stored message as if it were delivered once more, for the `attempt`th time. No answer to
    /// it reaches a consumer.
    #[must_use]
    pub fn as_delivered(
        &self,
        stream: &str,
        sequence: u64,
        attempt: u64,
        stored: StoredMessage,
    ) -> Delivery {
        Delivery::of_stored(self.client(), (stream, sequence), attempt, stored)
    }

    /// The first message at or after that sequence.
    async fn message_from(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<Option<StoredMessage>, BrokerGone> {
        use async_nats::jetstream::stream::DirectGetErrorKind;
        let handle = self.stream_handle(stream).await?;
        match handle.direct_get_next_for_subject(">", Some(sequence)).await {
            Ok(message) => Ok(Some(stored(message))),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(BrokerGone(error.to_string())),
        }
    }

    pub(crate) async fn stream_handle(
        &self,
        stream: &str,
    ) -> Result<async_nats::jetstream::stream::Stream<()>, BrokerGone> {
        let handle = self.jetstream().get_stream_no_info(stream).await;
        handle.map_err(|error| BrokerGone(error.to_string()))
    }
}

fn stored(message: async_nats::jetstream::message::StreamMessage) -> StoredMessage {
    let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
    StoredMessage {
        message_id: id.and_then(|id| id.as_str().parse().ok()),
        subject: message.subject.to_string(),
        published: millis(message.time),
        payload: message.payload,
    }
}

pub(crate) fn millis(time: OffsetDateTime) -> UnixMillis {
    let milliseconds = time.unix_timestamp_nanos() / 1_000_000;
    UnixMillis::new(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}
