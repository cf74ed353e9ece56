//! What a file of an earlier run still holds.
//!
//! Promises: every whole record is found, whatever stands before it. A record that a kill cut off
//! at the end is no damage: whoever handed it over was never told that it was taken.

use protocol::UnixMillis;

use super::record::{Parsed, Record};
use crate::class::Class;

/// Where a record stands and what the spool has to know of it.
pub(super) struct Entry {
    pub(super) offset: usize,
    pub(super) bytes: usize,
    pub(super) number: u64,
    pub(super) kept_at: UnixMillis,
}

pub(super) struct Survey {
    pub(super) entries: Vec<Entry>,
    /// Up to the end of the last whole record.
    pub(super) whole_bytes: usize,
    /// Records that were there and cannot be read.
    pub(super) damaged: u64,
}

impl Survey {
    pub(super) fn of(class: Class, bytes: &[u8]) -> Self {
        let mut survey = Self { entries: Vec::new(), whole_bytes: 0, damaged: 0 };
        while let Some(rest) = bytes.get(survey.whole_bytes..).filter(|rest| !rest.is_empty()) {
            let at = survey.whole_bytes;
            let Some((skipped, record, length)) = next_whole(class, rest) else {
                // Cut off, or whole and wrong: only the latter was promised to anyone.
                if matches!(Record::parse(class, rest), Parsed::Damaged) {
                    survey.damaged += 1;
                }
                break;
            };
            if skipped > 0 {
                let before = survey.entries.last().map_or(0, |entry| entry.number);
                let missing = record.number.saturating_sub(before + 1);
                survey.damaged += if before == 0 { 1 } else { missing.max(1) };
            }
            survey.entries.push(Entry {
                offset: at + skipped,
                bytes: length,
                number: record.number,
                kept_at: record.kept_at,
            });
            survey.whole_bytes = at + skipped + length;
        }
        survey
    }
}

/// The next whole record, how many bytes were skipped to it, and its length. Byte by byte, since a
/// damaged length tells nothing; what is no record is nearly always told by its first four bytes.
fn next_whole(class: Class, bytes: &[u8]) -> Option<(usize, Record, usize)> {
    (0..bytes.len()).find_map(|skipped| match Record::parse(class, &bytes[skipped..]) {
        Parsed::Record(record) => {
            let length = record.encoded_bytes();
            Some((skipped, record, length))
        }
        Parsed::Torn | Parsed::Damaged => None,
    })
}
