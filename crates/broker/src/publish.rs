//! Publishing into a stream: done means that the stream has it.

use std::future::IntoFuture as _;

use async_nats::jetstream::context::{PublishError as NatsPublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use protocol::{DeadLetter, MessageId, UnixMillis, headers};
use runtime::trace;

use crate::{Broker, traces};

/// Why a publish is not in the stream.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No answer, or no stream behind the subject: send it again with the same id.
    #[error("the stream did not confirm: {0}")]
    Unconfirmed(String),
    /// The stream is full and keeps what it has: send it again later with the same id.
    #[error("the stream refused: {0}")]
    Refused(String),
    /// The subject holds as many messages as its stream allows.
    #[error("the stream refused: {SUBJECT_IS_FULL}")]
    SubjectFull,
}

/// Proof that `DEAD_LETTERS` holds a message, or holds as many like it as it takes; only
/// [`Broker::park`] makes one.
#[derive(Debug)]
#[must_use]
pub struct Parked {
    surplus: bool,
}

impl Parked {
    /// Whether the stream holds its bound of the same reason from the same device, and not this
    /// one: its original alone is left, as long as its own stream keeps it.
    #[must_use]
    pub const fn is_surplus(&self) -> bool {
        self.surplus
    }
}

/// Proof that a parcel of deferred points is in its stream; only [`Broker::defer`] makes one. It
/// serves for every point of the parcel.
#[derive(Clone, Debug)]
#[must_use]
pub struct Deferred(());

/// The form of the subjects of dead letters.
const DEAD_LETTER: &str = "dead.{stream}.{reason}.{tenant}.{device}";
/// What the server answers where a subject holds its `max_msgs_per_subject`.
const SUBJECT_IS_FULL: &str = "maximum messages per subject exceeded";

/// A publish on its way; await it for the stream's word.
pub struct Ticket(async_nats::jetstream::context::PublishAckFuture);

impl Ticket {
    /// Waits for the stream's confirmation.
    ///
    /// # Errors
    /// See [`PublishError`]; the message may or may not be in the stream, and sending it again
    /// under its id is safe.
    pub async fn confirmed(self) -> Result<(), PublishError> {
        self.0.into_future().await.map(drop).map_err(from_nats)
    }
}

fn from_nats(error: NatsPublishError) -> PublishError {
    let text = std::error::Error::source(&error)
        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    match error.kind() {
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::StreamNotFound => PublishError::Unconfirmed(text),
        _ if text.contains(SUBJECT_IS_FULL) => PublishError::SubjectFull,
        _ => PublishError::Refused(text),
    }
}

impl Broker {
    /// Sends `payload` under `id`; the ticket resolves when the stream has it.
    ///
    /// # Errors
    /// The connection is closed for good.
    pub async fn publish(
        &self,
        subject: String,
        id: &MessageId,
        payload: Bytes,
    ) -> Result<Ticket, PublishError> {
        let message = PublishMessage::build().message_id(id.as_str()).payload(payload);
        self.jetstream().send_publish(subject, message).await.map(Ticket).map_err(from_nats)
    }

    /// Puts a parcel off; returns when its stream has it.
    ///
    /// # Errors
    /// See [`PublishError`]; nothing may be acknowledged then.
    pub async fn defer(&self, subject: String, parcel: Bytes) -> Result<Deferred, PublishError> {
        let message = PublishMessage::build().payload(parcel);
        let ticket = self.jetstream().send_publish(subject, message).await;
        Ticket(ticket.map_err(from_nats)?).confirmed().await?;
        Ok(Deferred(()))
    }

    /// Parks a message that cannot be applied; returns when `DEAD_LETTERS` has it, or has its
    /// bound of the same reason from the same device, so that nobody waits behind them. Parking
    /// the same message again has no second effect.
    ///
    /// # Errors
    /// See [`PublishError`]; nothing may be acknowledged then.
    pub async fn park(
        &self,
        letter: &DeadLetter<'_>,
        payload: Bytes,
    ) -> Result<Parked, PublishError> {
        let bytes = payload.len();
        let mut message = PublishMessage::build()
            .message_id(letter.parking_id())
            .payload(payload)
            .header(headers::STREAM, letter.stream)
            .header(headers::SEQUENCE, letter.sequence.to_string().as_str())
            .header(headers::SUBJECT, letter.subject)
            .header(headers::REASON, letter.reject.code())
            .header(headers::DETAIL, letter.reject.detail())
            .header(headers::ATTEMPTS, letter.attempts.to_string().as_str())
            .header(headers::FIRST_SEEN_MS, letter.first_seen.get().to_string().as_str())
            .header(headers::PARKED_MS, UnixMillis::now().get().to_string().as_str())
            .header(headers::RECEIVER_VERSION, env!("CARGO_PKG_VERSION"));
        if let Some(id) = letter.message_id {
            message = message.header(headers::MESSAGE_ID, id);
        }
        if letter.tombstone {
            message = message.header(headers::TOMBSTONE, "true");
        }
        let (subject, id) = (letter.parking_subject(), letter.parking_id());
        let span = trace::child(|| traces::send(DEAD_LETTER, &subject, &id, bytes));
        if let Some(traceparent) = span.traceparent() {
            message = message.header(trace::TRACEPARENT, traceparent.as_str());
        }
        let ticket = self.jetstream().send_publish(subject, message).await;
        let sent = Ticket(ticket.map_err(from_nats)?).confirmed().await;
        if let Err(error) = &sent {
            span.failed("unconfirmed", error);
        }
        match sent {
            Ok(()) => Ok(Parked { surplus: false }),
            Err(PublishError::SubjectFull) => Ok(Parked { surplus: true }),
            Err(error) => {
                if matches!(error, PublishError::Refused(_)) {
                    self.count_jetstream_error();
                }
                Err(error)
            }
        }
    }
}
