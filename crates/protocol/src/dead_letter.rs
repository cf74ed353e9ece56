//! Dead letters: messages that cannot be applied, parked with all that is needed to send them again.

use std::fmt::Write as _;

use crate::{DeviceSubject, Reject, UnixMillis};

/// Header names of a dead letter. Values are text; the payload is the original, byte for byte.
pub mod headers {
    /// Stream that the message came from.
    pub const STREAM: &str = "Wegweiser-Stream";
    /// Its sequence there.
    pub const SEQUENCE: &str = "Wegweiser-Sequence";
    /// Its subject there.
    pub const SUBJECT: &str = "Wegweiser-Subject";
    /// The sender's `Nats-Msg-Id`, where it gave one.
    pub const MESSAGE_ID: &str = "Wegweiser-Message-Id";
    /// Code of the closed list of reasons.
    pub const REASON: &str = "Wegweiser-Reason";
    /// The reason in words.
    pub const DETAIL: &str = "Wegweiser-Detail";
    /// How many times it was delivered.
    pub const ATTEMPTS: &str = "Wegweiser-Attempts";
    /// When the broker took the original, in milliseconds since 1970.
    pub const FIRST_SEEN_MS: &str = "Wegweiser-First-Seen-Ms";
    /// When it was parked, in milliseconds since 1970.
    pub const PARKED_MS: &str = "Wegweiser-Parked-Ms";
    /// Version of the receiver that parked it.
    pub const RECEIVER_VERSION: &str = "Wegweiser-Receiver-Version";
    /// `true` where retention had removed the original, so that the payload is lost.
    pub const TOMBSTONE: &str = "Wegweiser-Tombstone";
}

/// Where a dead letter came from and why it is one.
#[derive(Clone, Debug)]
pub struct DeadLetter<'a> {
    /// Stream of the original.
    pub stream: &'a str,
    /// Sequence of the original.
    pub sequence: u64,
    /// Subject of the original, as the broker stamped it.
    pub subject: &'a str,
    /// The sender's message id, where it gave one.
    pub message_id: Option<&'a str>,
    /// Why.
    pub reject: &'a Reject,
    /// Deliveries so far.
    pub attempts: u64,
    /// When the broker took the original.
    pub first_seen: UnixMillis,
    /// Whether the original is gone.
    pub tombstone: bool,
}

impl DeadLetter<'_> {
    /// `dead.{stream}.{reason}.{tenant}.{device}`; `unknown` for an id that the subject lacks.
    #[must_use]
    pub fn parking_subject(&self) -> String {
        let mut parking = format!("dead.{}.{}", self.stream, self.reject.code());
        let ids = match self.subject.parse::<DeviceSubject>() {
            Ok(origin) => Some((origin.tenant(), Some(origin.device()))),
            Err(_) => self.ids_by_place(),
        };
        // Writing to a String cannot fail.
        let _ = match ids {
            Some((tenant, Some(device))) => write!(parking, ".{tenant}.{device}"),
            Some((tenant, None)) => write!(parking, ".{tenant}.unknown"),
            None => write!(parking, ".unknown.unknown"),
        };
        parking
    }

    /// The ids of a subject whose last token alone is wrong, or that is a tenant's and no device's.
    fn ids_by_place(&self) -> Option<(crate::TenantId, Option<crate::DeviceId>)> {
        let tokens: Vec<&str> = self.subject.split('.').take(5).collect();
        let tenant = tokens.get(1)?.parse().ok()?;
        let device = match *tokens.get(2)? {
            "deferred" => return Some((tenant, None)),
            "device" => tokens.get(3)?,
            _ => tokens.get(4)?,
        };
        Some((tenant, Some(device.parse().ok()?)))
    }

    /// The id under which it is parked once, however often parking is tried.
    #[must_use]
    pub fn parking_id(&self) -> String {
        // The time too: a stream that is made anew counts from 1 again.
        format!("{}:{}:{}", self.stream, self.sequence, self.first_seen.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parking_subject_names_tenant_and_device_even_of_a_bad_metric() {
        let t = "11111111-1111-4111-8111-111111111111";
        let d = "22222222-2222-4222-8222-222222222222";
        let reject = Reject::UnknownSubject("x".into());
        let letter = |subject| DeadLetter {
            stream: "METRICS",
            sequence: 3,
            subject,
            message_id: None,
            reject: &reject,
            attempts: 1,
            first_seen: UnixMillis::new(0),
            tombstone: false,
        };
        let metric = format!("tenant.{t}.demo.system.{d}.CPU!");
        let expected = format!("dead.METRICS.unknown_subject.{t}.{d}");
        assert_eq!(letter(metric.as_str()).parking_subject(), expected);
        assert_eq!(letter("foo").parking_subject(), "dead.METRICS.unknown_subject.unknown.unknown");
        let parcel = format!("tenant.{t}.deferred.metrics");
        let expected = format!("dead.METRICS.unknown_subject.{t}.unknown");
        assert_eq!(letter(parcel.as_str()).parking_subject(), expected);
    }
}
