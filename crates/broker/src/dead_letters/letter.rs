//! One dead letter, as its stream keeps it.

use async_nats::HeaderMap;
use bytes::Bytes;
use protocol::{DeviceSubject, MessageId, MessageKey, UnixMillis, headers};

/// Headers by which the server tells where a message is; not part of the letter.
const OF_THE_SERVER: [&str; 7] = [
    "Nats-Stream",
    "Nats-Sequence",
    "Nats-Subject",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
    "Nats-UpTo-Sequence",
];

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its sequence in `DEAD_LETTERS`.
    pub sequence: u64,
    /// When `DEAD_LETTERS` took it, by the broker's clock.
    pub parked: UnixMillis,
    /// Its subject there: `dead.{stream}.{reason}.{tenant}.{device}`.
    pub subject: String,
    /// Every header, in the order of their names.
    pub headers: Vec<(String, String)>,
    /// The original, byte for byte; empty for a tombstone.
    pub payload: Bytes,
}

/// Why a letter cannot be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSendable {
    /// Retention had removed the original before it was parked.
    #[error("a tombstone: its payload was lost before it was parked")]
    Tombstone,
    /// Somebody else's message on our subjects.
    #[error("it does not say where it came from")]
    NoOrigin,
}

impl Letter {
    pub(super) fn new(
        sequence: u64,
        parked: UnixMillis,
        subject: String,
        all: &HeaderMap,
        payload: Bytes,
    ) -> Self {
        let mut headers = Vec::new();
        for (name, values) in all.iter() {
            let name: &str = name.as_ref();
            if OF_THE_SERVER.contains(&name) {
                continue;
            }
            headers.extend(values.iter().map(|value| (name.to_owned(), value.to_string())));
        }
        headers.sort();
        Self { sequence, parked, subject, headers, payload }
    }

    /// A header's value, empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.header(name).parse().ok()
    }

    fn token(&self, place: usize) -> &str {
        self.subject.split('.').nth(place).unwrap_or_default()
    }

    /// Stream of the original.
    #[must_use]
    pub fn stream(&self) -> &str {
        self.token(1)
    }

    /// Why it was parked: a code of the closed list.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.token(2)
    }

    /// Whose it was, or `unknown`.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.token(3)
    }

    /// Which device sent it, or `unknown`.
    #[must_use]
    pub fn device(&self) -> &str {
        self.token(4)
    }

    /// Sequence of the original in its stream.
    #[must_use]
    pub fn origin_sequence(&self) -> Option<u64> {
        self.number(headers::SEQUENCE)
    }

    /// When the broker took the original.
    #[must_use]
    pub fn first_seen(&self) -> Option<UnixMillis> {
        self.number(headers::FIRST_SEEN_MS).map(UnixMillis::new)
    }

    /// How many times the original was delivered.
    #[must_use]
    pub fn attempts(&self) -> Option<u64> {
        self.number(headers::ATTEMPTS)
    }

    /// Whether the original was gone when this was parked.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.header(headers::TOMBSTONE) == "true"
    }

    /// The subject of the original.
    ///
    /// # Errors
    /// It cannot be sent again.
    pub fn origin_subject(&self) -> Result<&str, NotSendable> {
        if self.is_tombstone() {
            return Err(NotSendable::Tombstone);
        }
        match self.header(headers::SUBJECT) {
            "" => Err(NotSendable::NoOrigin),
            subject => Ok(subject),
        }
    }

    /// The id that the sender gave the original: its `Nats-Msg-Id`, else that of its envelope.
    #[must_use]
    pub fn sender_id(&self) -> Option<MessageId> {
        if let Ok(id) = self.header(headers::MESSAGE_ID).parse() {
            return Some(id);
        }
        let subject: DeviceSubject = self.origin_subject().ok()?.parse().ok()?;
        let (_, enveloped) = protocol::decode(&subject, &self.payload, self.first_seen()?).ok()?;
        enveloped
    }

    /// The key that the original's effect has where its sender gave no id: its place.
    #[must_use]
    pub fn place_key(&self) -> Option<MessageKey> {
        if self.sender_id().is_some() {
            return None;
        }
        let (sequence, taken) = (self.origin_sequence()?, self.first_seen()?);
        Some(MessageKey::Place { stream: self.stream().into(), sequence, taken })
    }

    /// The id under which it is sent again, the same each time: the sender's, else one that
    /// receivers take for the place of the original. `None`: it tells neither.
    #[must_use]
    pub fn replay_id(&self) -> Option<String> {
        let key = self.sender_id().map(MessageKey::Sender).or_else(|| self.place_key())?;
        Some(key.replay_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "tenant.11111111-1111-4111-8111-111111111111.device.22222222-2222-4222-8222-222222222222.monitoring";

    fn letter(id: Option<&str>, payload: &str) -> Letter {
        let mut all = HeaderMap::new();
        all.insert("Nats-Stream", "DEAD_LETTERS");
        all.insert(headers::SUBJECT, ORIGIN);
        all.insert(headers::SEQUENCE, "17");
        all.insert(headers::FIRST_SEEN_MS, "1790230470084");
        if let Some(id) = id {
            all.insert(headers::MESSAGE_ID, id);
        }
        let subject = "dead.MONITORING.row_rejected.t.d".to_owned();
        Letter::new(3, UnixMillis::new(9), subject, &all, payload.to_owned().into())
    }

    #[test]
    fn it_is_sent_again_under_the_id_that_its_effect_has() {
        assert_eq!(letter(Some("s:monitoring:4"), "{}").replay_id().unwrap(), "s:monitoring:4");
        let enveloped = r#"{"message_type":"monitoring","payload":{},"message_id":"m-1"}"#;
        assert_eq!(letter(None, enveloped).replay_id().unwrap(), "m-1");
        assert_eq!(letter(None, enveloped).place_key(), None);
        let bare = letter(None, "{}");
        assert_eq!(bare.replay_id().unwrap(), "replay:MONITORING:17:1790230470084");
        assert_eq!(bare.place_key().unwrap().to_string(), "MONITORING 17 1790230470084");
        assert!(
            bare.replay_id().unwrap().parse::<MessageId>().is_ok(),
            "receivers would not take it"
        );
        assert!(bare.headers.iter().all(|(name, _)| name != "Nats-Stream"));
    }
}
