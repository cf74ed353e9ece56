//! Reading a stream again, from a time to a sequence, beside everybody who consumes it.
//!
//! Promises: in the stream's order and without gaps, or an error; nothing is acknowledged and
//! nobody's position is moved. What it holds is one pull's messages.

use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::{FutureExt as _, StreamExt as _};
use protocol::{MessageId, UnixMillis};
use time::OffsetDateTime;

use crate::consumers::millis;
use crate::{Broker, BrokerGone};

/// Longest wait for the next message that the stream says it has.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream that is read again.
pub struct Reread {
    messages: Option<pull::Ordered>,
    until: u64,
    total: u64,
}

/// A message as it stands in its stream.
#[derive(Clone, Debug)]
pub struct RereadMessage {
    /// Its sequence.
    pub sequence: u64,
    /// The subject as the broker stamped it.
    pub subject: String,
    /// The sender's id, where it gave one within the rule.
    pub id: Option<MessageId>,
    /// When the broker took it.
    pub taken: UnixMillis,
    /// The payload, byte for byte.
    pub payload: bytes::Bytes,
}

impl Reread {
    /// Messages from the beginning to the end of the stream as it was when reading began.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The next messages, at most `limit`; none at the end.
    ///
    /// # Errors
    /// The broker does not answer; begin again.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<RereadMessage>, BrokerGone> {
        let mut batch = Vec::new();
        while let Some(messages) = &mut self.messages {
            let next = if batch.is_empty() {
                let waited = tokio::time::timeout(MESSAGE_TIMEOUT, messages.next()).await;
                waited.map_err(|_| BrokerGone("the stream went silent".to_owned()))?
            } else {
                let Some(ready) = messages.next().now_or_never() else { break };
                ready
            };
            let Some(message) = next else {
                return Err(BrokerGone("the connection is closed".to_owned()));
            };
            let message = message.map_err(|error| BrokerGone(error.to_string()))?;
            let place = message.info().map_err(|error| BrokerGone(error.to_string()))?;
            let (sequence, pending, taken) =
                (place.stream_sequence, place.pending, millis(place.published));
            if sequence >= self.until || pending == 0 {
                self.messages = None;
            }
            if sequence > self.until {
                break;
            }
            let id = message.headers.as_ref().and_then(|headers| {
                headers.get(async_nats::header::NATS_MESSAGE_ID)?.as_str().parse().ok()
            });
            let message = message.message;
            let (subject, payload) = (message.subject.to_string(), message.payload);
            batch.push(RereadMessage { sequence, subject, id, taken, payload });
            if batch.len() >= limit {
                break;
            }
        }
        Ok(batch)
    }
}

impl Broker {
    /// Reads a stream again: what it took from `since` on, up to sequence `until`.
    ///
    /// # Errors
    /// The broker does not answer, or there is no such stream.
    pub async fn reread(
        &self,
        stream: &str,
        since: UnixMillis,
        until: u64,
    ) -> Result<Reread, BrokerGone> {
        let gone = |error: &dyn std::fmt::Display| BrokerGone(error.to_string());
        let nanoseconds = i128::from(since.get()) * 1_000_000;
        let start_time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartTime { start_time },
            ..pull::OrderedConfig::default()
        };
        let handle = self.stream_handle(stream).await?;
        let consumer = handle.create_consumer(config).await.map_err(|error| gone(&error))?;
        let total = consumer.cached_info().num_pending;
        let messages = match total {
            0 => None,
            _ => Some(consumer.messages().await.map_err(|error| gone(&error))?),
        };
        Ok(Reread { messages, until, total })
    }
}
