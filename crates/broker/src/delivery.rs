//! One delivery of one message, and the acknowledgements that it can be given.
//!
//! Promises: what is read here was stamped by the broker. The three acknowledging methods are
//! disallowed by clippy outside the receiver's `settle` and `hold`; a device's own asks for the
//! journal's proof.

use std::sync::Arc;

use async_nats::{Client, HeaderMap, Message};
use bytes::Bytes;
use protocol::{DeviceSubject, MessageId, MessageKey, MessageNumber, SubjectError, UnixMillis};
use runtime::trace::{self, SpanContext};
use tokio::time::Instant;

use crate::commands::Noted;
use crate::{BrokerGone, Parked, StoredMessage};

const NANOSECONDS_A_MILLISECOND: i64 = 1_000_000;

/// A message as delivered to us, not yet acknowledged.
#[derive(Debug)]
pub struct Delivery {
    client: Arc<Client>,
    message: Message,
    /// Where it is acknowledged; `None`: nobody waits for that.
    reply: Option<async_nats::Subject>,
    stream: Arc<str>,
    sequence: u64,
    attempt: u64,
    waiting: u64,
    published: UnixMillis,
    may_be_repeated: bool,
    arrived: Instant,
    ours_until: Instant,
}

/// What its request tells of a delivery, beside the delivery itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// The stream that the request asked for messages of.
    pub(crate) stream: &'a Arc<str>,
    /// The broker may have forgotten what became of messages published before this.
    pub(crate) forgotten_before: UnixMillis,
    /// When the first delivery of its request was here.
    pub(crate) arrived: Instant,
    /// Until then nobody else is given the message, whenever it was sent to us.
    pub(crate) ours_until: Instant,
}

impl Delivery {
    /// Whether a consumer delivered it.
    pub(crate) fn is_of_consumer(message: &Message) -> bool {
        message.reply.as_ref().is_some_and(|reply| AckSubject::parse(reply).is_some())
    }

    /// `None`: not delivered by a consumer, so there is nothing to acknowledge.
    pub(crate) fn new(
        client: &Arc<Client>,
        mut message: Message,
        origin: Origin<'_>,
    ) -> Option<Self> {
        let reply = message.reply.take()?;
        let info = AckSubject::parse(&reply)?;
        let published = UnixMillis::new(info.published_ns / NANOSECONDS_A_MILLISECOND);
        let as_asked = *info.stream == **origin.stream;
        Some(Self {
            client: client.clone(),
            stream: if as_asked { origin.stream.clone() } else { info.stream.into() },
            sequence: info.sequence,
            attempt: info.attempt,
            waiting: info.waiting,
            may_be_repeated: info.attempt > 1 || published < origin.forgotten_before,
            arrived: origin.arrived,
            ours_until: origin.ours_until,
            published,
            reply: Some(reply),
            message,
        })
    }

    /// What somebody put into the inbox of a device beside its consumer: there is nothing to
    /// acknowledge, and all else that matters is in it, signed.
    pub(crate) fn past_the_stream(
        client: &Arc<Client>,
        message: Message,
        stream: Arc<str>,
    ) -> Self {
        Self {
            client: client.clone(),
            message,
            reply: None,
            stream,
            sequence: 0,
            attempt: 1,
            waiting: 0,
            published: UnixMillis::now(),
            may_be_repeated: true,
            arrived: Instant::now(),
            ours_until: Instant::now(),
        }
    }

    /// What a stream still holds, as if it were delivered once more. Nobody waits for its answer.
    pub(crate) fn of_stored(
        client: &Arc<Client>,
        (stream, sequence): (&str, u64),
        attempt: u64,
        stored: StoredMessage,
    ) -> Self {
        let StoredMessage { subject, message_id, published, payload } = stored;
        let headers = message_id.map(|id| {
            let mut headers = HeaderMap::new();
            headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
            headers
        });
        let message = Message {
            subject: subject.into(),
            reply: None,
            length: payload.len(),
            payload,
            headers,
            status: None,
            description: None,
        };
        Self {
            client: client.clone(),
            message,
            reply: None,
            stream: stream.into(),
            sequence,
            attempt,
            waiting: 0,
            published,
            may_be_repeated: true,
            ours_until: Instant::now(),
            arrived: Instant::now(),
        }
    }

    /// The subject as the broker stamped it.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// Tenant, device and kind as the broker stamped them.
    ///
    /// # Errors
    /// The subject is none of the contract's.
    pub fn device_subject(&self) -> Result<DeviceSubject, SubjectError> {
        self.message.subject.parse()
    }

    /// The payload, byte for byte.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.message.payload
    }

    /// The stream that holds it.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Its sequence in the stream.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Which delivery this is, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Messages that waited behind it, for any receiver, when it was delivered.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether it may have had its effect before `now`: it says so itself, it is older than the
    /// broker's own memory of deliveries, or it lay so long on its way or here that another may have
    /// it too.
    #[must_use]
    pub fn may_be_repeated(&self, now: Instant) -> bool {
        self.may_be_repeated || now >= self.ours_until
    }

    /// When the first delivery of the same request was here.
    #[must_use]
    pub const fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Where its sender's trace goes on; `None` where it tells of none, or nothing is traced here.
    #[must_use]
    pub fn trace_origin(&self) -> Option<SpanContext> {
        if !trace::is_on() {
            return None;
        }
        trace::origin(self.message.headers.as_ref()?.get(trace::TRACEPARENT)?.as_str())
    }

    /// When the broker took the message, by the broker's clock.
    #[must_use]
    pub const fn published(&self) -> UnixMillis {
        self.published
    }

    /// The sender's `Nats-Msg-Id`, where it gave one within the rule.
    #[must_use]
    pub fn message_id(&self) -> Option<MessageId> {
        self.given_id()?.parse().ok()
    }

    /// Which of the device's messages of `kind` it is, where the device numbered it.
    #[must_use]
    pub fn number(&self, kind: &str) -> Option<MessageNumber> {
        MessageNumber::of_id(self.given_id()?, kind)
    }

    fn given_id(&self) -> Option<&str> {
        let headers = self.message.headers.as_ref()?;
        Some(headers.get(async_nats::header::NATS_MESSAGE_ID)?.as_str())
    }

    /// The key under which it has its effect once; `enveloped` is the id inside its payload.
    #[must_use]
    pub fn key(&self, enveloped: Option<MessageId>) -> MessageKey {
        let id = self.message_id().or(enveloped);
        MessageKey::of(id, &self.stream, self.sequence, self.published)
    }

    /// Its effect is durable, or will be since its point is in a parcel: never deliver it again.
    ///
    /// # Errors
    /// The connection is closed; the message will come again.
    pub async fn ack(&self) -> Result<(), BrokerGone> {
        self.answer("+ACK").await
    }

    /// It is parked: never deliver it again. Asks for the proof; the broker's advisory tells of a
    /// surplus.
    ///
    /// # Errors
    /// The connection is closed; the message will come again.
    pub async fn terminate(&self, proof: Parked) -> Result<(), BrokerGone> {
        self.answer(if proof.is_surplus() { "+TERM surplus" } else { "+TERM" }).await
    }

    /// It is still being worked on: start its `ack_wait` again.
    ///
    /// # Errors
    /// The connection is closed; the message will come again.
    pub async fn progress(&self) -> Result<(), BrokerGone> {
        self.answer("+WPI").await
    }

    /// The journal holds this command: never deliver it again.
    ///
    /// # Errors
    /// The connection is closed; the message will come again.
    pub(crate) async fn taken(&self, _held: Noted) -> Result<(), BrokerGone> {
        self.answer("+ACK").await
    }

    async fn answer(&self, kind: &'static str) -> Result<(), BrokerGone> {
        let Some(reply) = &self.reply else { return Ok(()) };
        self.client
            .publish(reply.clone(), Bytes::from_static(kind.as_bytes()))
            .await
            .map_err(|error| BrokerGone(error.to_string()))
    }
}

/// What the reply subject of a delivery tells (NATS ADR-15, with or without domain and account).
struct AckSubject<'a> {
    stream: &'a str,
    attempt: u64,
    sequence: u64,
    published_ns: i64,
    waiting: u64,
}

impl<'a> AckSubject<'a> {
    fn parse(reply: &'a str) -> Option<Self> {
        const SHORT_TOKENS: usize = 9;
        // By bytes: looking for a character costs several times as much, and this is the hot path.
        let mut tokens = reply.strip_prefix("$JS.ACK.")?.as_bytes().split(|byte| *byte == b'.');
        if reply.bytes().filter(|byte| *byte == b'.').count() >= SHORT_TOKENS {
            let _domain = tokens.next()?;
            let _account = tokens.next()?;
        }
        let stream = std::str::from_utf8(tokens.next()?).ok()?;
        let _consumer = tokens.next()?;
        let mut number = || std::str::from_utf8(tokens.next()?).ok()?.parse::<u64>().ok();
        let (attempt, sequence, _consumer_sequence) = (number()?, number()?, number()?);
        let published_ns = i64::try_from(number()?).ok()?;
        Some(Self { stream, attempt, sequence, published_ns, waiting: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_ack_subject_tell_the_same() {
        for reply in [
            "$JS.ACK.METRICS.rings.3.100.7.1790230470084404000.42",
            "$JS.ACK.hub.HASH.METRICS.rings.3.100.7.1790230470084404000.42",
            "$JS.ACK.hub.HASH.METRICS.rings.3.100.7.1790230470084404000.42.token",
        ] {
            let info = AckSubject::parse(reply).unwrap();
            assert_eq!((info.stream, info.attempt, info.sequence), ("METRICS", 3, 100), "{reply}");
            assert_eq!(info.published_ns, 1_790_230_470_084_404_000, "{reply}");
            assert_eq!(info.waiting, 42, "{reply}");
        }
        assert!(AckSubject::parse("_INBOX.x").is_none());
    }
}
