//! One message as bytes: length, checksum, what is needed to send it, its payload.
//!
//! Promises: what parses is what was written, byte for byte. The checksum covers the length too,
//! so that a run of zeros, as a power loss leaves it, is no record.

use bytes::Bytes;
use protocol::limits::{METRIC_TYPE_MAX_BYTES, RESPONSE_PAYLOAD_MAX_BYTES};
use protocol::{Kind, UnixMillis};

use crate::class::Class;

/// Length and checksum.
pub(super) const FRAME_BYTES: usize = 8;
/// Number, two times and the length of the metric's name.
const FIXED_BYTES: usize = 8 + 8 + 8 + 1;
/// Longest record behind its frame.
pub(super) const BODY_MAX_BYTES: usize =
    FIXED_BYTES + METRIC_TYPE_MAX_BYTES + RESPONSE_PAYLOAD_MAX_BYTES;

/// A message as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its number within session and kind.
    pub(crate) number: u64,
    /// When it was handed over, by the spool's clock; its age counts from here.
    pub(crate) kept_at: UnixMillis,
    /// When it was made, by the device's clock.
    pub(crate) at: UnixMillis,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
}

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Record(Record),
    /// No whole record: the end, if it is the last.
    Torn,
    /// As long as it says, and not what was written.
    Damaged,
}

/// Bytes of the record that the frame announces, without the frame; `None` if there is none.
pub(super) fn body_bytes(frame: [u8; FRAME_BYTES]) -> Option<usize> {
    let [a, b, c, d, ..] = frame;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
    (FIXED_BYTES..=BODY_MAX_BYTES).contains(&length).then_some(length)
}

impl Record {
    /// The bytes to append; `None` for what no device sends.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let name = match &self.kind {
            Kind::Metric(name) => name.as_str(),
            _ => "",
        };
        let length = FIXED_BYTES + name.len() + self.payload.len();
        if length > BODY_MAX_BYTES {
            return None;
        }
        let mut bytes = Vec::with_capacity(FRAME_BYTES + length);
        bytes.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.kept_at.get().to_le_bytes());
        bytes.extend_from_slice(&self.at.get().to_le_bytes());
        bytes.push(u8::try_from(name.len()).ok()?);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&self.payload);
        let checksum = checksum(&bytes[..4], &bytes[FRAME_BYTES..]);
        bytes[4..FRAME_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Some(bytes)
    }

    /// How long it is, with its frame.
    pub(super) fn encoded_bytes(&self) -> usize {
        let name = match &self.kind {
            Kind::Metric(name) => name.as_str().len(),
            _ => 0,
        };
        FRAME_BYTES + FIXED_BYTES + name + self.payload.len()
    }

    /// What stands at the beginning of `bytes`.
    pub(super) fn parse(class: Class, bytes: &[u8]) -> Parsed {
        let Some((frame, rest)) = bytes.split_first_chunk::<FRAME_BYTES>() else {
            return Parsed::Torn;
        };
        let Some(body) = body_bytes(*frame).and_then(|length| rest.get(..length)) else {
            return Parsed::Torn;
        };
        let (length, expected) = frame.split_at(4);
        if checksum(length, body).to_le_bytes() != *expected {
            return Parsed::Damaged;
        }
        Self::from_body(class, body).map_or(Parsed::Damaged, Parsed::Record)
    }

    fn from_body(class: Class, body: &[u8]) -> Option<Self> {
        let (number, body) = body.split_first_chunk::<8>()?;
        let (kept_at, body) = body.split_first_chunk::<8>()?;
        let (at, body) = body.split_first_chunk::<8>()?;
        let (name_bytes, body) = body.split_first()?;
        let (name, payload) = body.split_at_checked(usize::from(*name_bytes))?;
        let kind = match class {
            Class::Metric => Kind::Metric(std::str::from_utf8(name).ok()?.parse().ok()?),
            Class::Heartbeat => Kind::Heartbeat,
            Class::Monitoring => Kind::Monitoring,
            Class::Response => Kind::Response,
        };
        Some(Self {
            number: u64::from_le_bytes(*number),
            kept_at: UnixMillis::new(i64::from_le_bytes(*kept_at)),
            at: UnixMillis::new(i64::from_le_bytes(*at)),
            kind,
            payload: Bytes::copy_from_slice(payload),
        })
    }
}

fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(body);
    hasher.finalize()
}
