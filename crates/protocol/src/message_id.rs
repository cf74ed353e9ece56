//! Message ids: what makes a message the same message when it comes again.
//!
//! A sender's own id (`Nats-Msg-Id`, or `message_id` of a first-generation envelope) where there
//! is one, else the place in the stream and its time. Agents of ours number their messages, so that a gap is a
//! fact with a number: `{session}:{kind}:{counter}`.

use std::fmt;
use std::str::FromStr;

use crate::limits::{COUNTER_MAX, MESSAGE_ID_MAX_BYTES};
use crate::{Kind, SessionId, UnixMillis};

/// What the id of a message begins with that is sent again from the dead letters and whose sender
/// gave none.
const REPLAY: &str = "replay";

/// An id that a sender gave its message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(Box<str>);

/// Which of a device's messages of one kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageNumber {
    /// The agent's run.
    pub session: SessionId,
    /// From 1 in each run.
    pub counter: u64,
}

/// A message id outside the rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("message id of {bytes} bytes: give 1 to {MESSAGE_ID_MAX_BYTES} visible ASCII characters")]
pub struct MessageIdError {
    bytes: usize,
}

impl MessageId {
    /// The id of message number `counter` (from 1) of a kind within a session.
    #[must_use]
    pub fn numbered(session: SessionId, kind: &Kind, counter: u64) -> Self {
        Self(format!("{session}:{}:{counter}", kind.name()).into_boxed_str())
    }

    /// Which message of `kind` it is, where an agent of ours numbered it: an id that names another
    /// kind, or a number that no agent reaches, tells nothing.
    #[must_use]
    pub fn number(&self, kind: &str) -> Option<MessageNumber> {
        MessageNumber::of_id(&self.0, kind)
    }

    /// The key under which the message has its effect once. An id that stands for a place, made by
    /// [`MessageKey::replay_id`], is that place: the original may come again beside its replay.
    #[must_use]
    pub fn into_key(self) -> MessageKey {
        self.replayed_place().unwrap_or(MessageKey::Sender(self))
    }

    fn replayed_place(&self) -> Option<MessageKey> {
        let mut parts = self.0.split(':');
        if parts.next()? != REPLAY {
            return None;
        }
        let stream = parts.next()?.into();
        let sequence = parts.next()?.parse().ok()?;
        let taken = UnixMillis::new(parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(MessageKey::Place { stream, sequence, taken })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl MessageNumber {
    /// What the text of an id tells, as [`MessageId::number`]; it need not be made an id for that.
    #[must_use]
    pub fn of_id(id: &str, kind: &str) -> Option<Self> {
        if id.len() > MESSAGE_ID_MAX_BYTES {
            return None;
        }
        let mut parts = id.split(':');
        let session = parts.next()?.parse().ok()?;
        let named = parts.next()?;
        let counter = parts.next()?.parse().ok()?;
        let told = named == kind && (1..=COUNTER_MAX).contains(&counter);
        (told && parts.next().is_none()).then_some(Self { session, counter })
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MESSAGE_ID_MAX_BYTES || !visible {
            return Err(MessageIdError { bytes: text.len() });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key under which a message has its effect once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageKey {
    /// The sender's id.
    Sender(MessageId),
    /// No id was given: stream, sequence, and when the broker took it, since a stream that is made
    /// anew counts from 1 again.
    Place {
        /// Name of the stream.
        stream: Box<str>,
        /// Sequence in the stream.
        sequence: u64,
        /// When the broker took it.
        taken: UnixMillis,
    },
}

impl MessageKey {
    /// The key of a message: by its sender's id where it gave one, else by its place in `stream`.
    #[must_use]
    pub fn of(id: Option<MessageId>, stream: &str, sequence: u64, taken: UnixMillis) -> Self {
        match id {
            Some(id) => id.into_key(),
            None => Self::Place { stream: stream.into(), sequence, taken },
        }
    }

    /// The id under which the message of this key is sent again, the same each time.
    #[must_use]
    pub fn replay_id(&self) -> String {
        match self {
            Self::Sender(id) => id.as_str().to_owned(),
            Self::Place { stream, sequence, taken } => {
                format!("{REPLAY}:{stream}:{sequence}:{}", taken.get())
            }
        }
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender(id) => id.fmt(f),
            // A blank cannot stand in a sender's id, so no sender can claim a place.
            Self::Place { stream, sequence, taken } => {
                write!(f, "{stream} {sequence} {}", taken.get())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_id_tells_its_session_and_counter() {
        let session = SessionId::start();
        let id = MessageId::numbered(session, &Kind::Heartbeat, 7);
        assert_eq!(id.number("heartbeat"), Some(MessageNumber { session, counter: 7 }));
        assert_eq!(id.number("metric"), None);
        assert_eq!(id.as_str().parse::<MessageId>().unwrap(), id);
        for odd in [
            "abc",
            "a:metric:1",
            &format!("{session}:metric:0"),
            &format!("{session}:metric:{}", u64::MAX),
        ] {
            assert_eq!(odd.parse::<MessageId>().unwrap().number("metric"), None, "{odd}");
        }
    }

    #[test]
    fn no_sender_can_claim_a_place_in_a_stream() {
        assert!("RESPONSES 17".parse::<MessageId>().is_err());
        let taken = UnixMillis::new(1_790_230_470_084);
        let place = MessageKey::Place { stream: "RESPONSES".into(), sequence: 17, taken };
        assert_eq!(place.to_string(), "RESPONSES 17 1790230470084");
    }

    #[test]
    fn a_replay_has_the_key_of_its_original() {
        let taken = UnixMillis::new(1_790_230_470_084);
        let place = MessageKey::Place { stream: "RESPONSES".into(), sequence: 17, taken };
        let replayed: MessageId = place.replay_id().parse().unwrap();
        assert_eq!(replayed.into_key(), place);
        for own in
            ["replay:RESPONSES:17", "replay:RESPONSES:17:1:2", "replay:R:x:1", "s:response:1"]
        {
            let id: MessageId = own.parse().unwrap();
            assert_eq!(id.clone().into_key(), MessageKey::Sender(id));
        }
    }
}
