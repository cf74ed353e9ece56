//! Sending a letter's original again, and removing a letter.
//!
//! Promises: `Taken` and `There` mean that a stream has the message, so that the letter may go.
//! A stream answers a known id within its duplicate window with "duplicate" and takes nothing;
//! that is told apart by what it already has.

use std::future::IntoFuture as _;
use std::time::Duration;

use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;

use super::{Letter, LetterError, NotSendable, STREAM};
use crate::Broker;

const WHAT: &str = "take the message again";

/// What became of an original that was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Its stream has it, and it will be delivered.
    Taken {
        /// The stream.
        stream: String,
        /// Its sequence there.
        sequence: u64,
    },
    /// The same message was sent before, by a run that was cut or by its sender, and is there.
    There {
        /// The stream.
        stream: String,
        /// Its sequence there.
        sequence: u64,
    },
    /// The id is still within the stream's duplicate window: nothing was taken.
    Duplicate,
}

/// An original on its way; await [`SentAgain::outcome`].
pub struct SentAgain<'a> {
    broker: &'a Broker,
    letter: &'a Letter,
    subject: &'a str,
    ack: PublishAckFuture,
}

impl SentAgain<'_> {
    /// Waits for the stream's word.
    ///
    /// # Errors
    /// It did not answer or refused; sending again under the same id is safe.
    pub async fn outcome(self) -> Result<Sent, LetterError> {
        let ack = self.ack.into_future().await;
        let ack = ack.map_err(|error| LetterError::refused(WHAT)(&chain(&error)))?;
        let PublishAck { stream, sequence, duplicate, .. } = ack;
        if !duplicate {
            return Ok(Sent::Taken { stream, sequence });
        }
        // Ids are the senders' to choose: only the very same message counts.
        let there = self.broker.stored_message(&stream, sequence).await;
        let there = there.map_err(|error| LetterError::refused(WHAT)(&error))?;
        let is_there = there.is_some_and(|there| {
            let is_original = Some(sequence) == self.letter.origin_sequence()
                && Some(there.published) == self.letter.first_seen();
            let same = there.subject == self.subject && there.payload == self.letter.payload;
            same && !is_original
        });
        Ok(if is_there { Sent::There { stream, sequence } } else { Sent::Duplicate })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Why it was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It never can be.
    #[error(transparent)]
    NotSendable(#[from] NotSendable),
    /// Not now.
    #[error(transparent)]
    Letter(#[from] LetterError),
}

impl Broker {
    /// Sends a letter's original on its own subject, under [`Letter::replay_id`].
    ///
    /// # Errors
    /// It cannot be sent, or the connection is closed.
    pub async fn send_again<'a>(&'a self, letter: &'a Letter) -> Result<SentAgain<'a>, SendError> {
        let subject = letter.origin_subject()?;
        let id = letter.replay_id().ok_or(NotSendable::NoOrigin)?;
        let message = PublishMessage::build().message_id(id).payload(letter.payload.clone());
        let ack = self.jetstream().send_publish(subject.to_owned(), message).await;
        let ack = ack.map_err(|error| LetterError::refused(WHAT)(&chain(&error)))?;
        Ok(SentAgain { broker: self, letter, subject, ack })
    }

    /// Removes a letter; `false`: it was gone already.
    ///
    /// # Errors
    /// See [`LetterError`].
    pub async fn remove_dead_letter(&self, sequence: u64) -> Result<bool, LetterError> {
        const WHAT: &str = "remove a dead letter";
        let stream = self.jetstream().get_stream_no_info(STREAM).await;
        let stream = stream.map_err(|error| LetterError::refused(WHAT)(&error))?;
        let Err(error) = stream.delete_message(sequence).await else {
            return Ok(true);
        };
        // The server has several words for a message that is gone: look.
        if self.dead_letter(sequence).await?.is_none() {
            return Ok(false);
        }
        Err(LetterError::refused(WHAT)(&chain(&error)))
    }

    /// How long a stream remembers ids.
    ///
    /// # Errors
    /// See [`LetterError`].
    pub async fn duplicate_window(&self, stream: &str) -> Result<Duration, LetterError> {
        let found = self.jetstream().get_stream(stream).await;
        let found = found.map_err(|error| LetterError::refused("describe a stream")(&error))?;
        Ok(found.cached_info().config.duplicate_window)
    }
}
