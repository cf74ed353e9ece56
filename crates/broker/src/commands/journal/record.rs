//! One note of the journal as bytes: length, checksum, JSON.
//!
//! Promises: what parses is what was written. The checksum covers the length too, so that a run of
//! zeros, as a power loss leaves it, is no note.

use protocol::command::CommandEvent;
use protocol::limits::{COMMAND_PAYLOAD_MAX_BYTES, RESPONSE_PAYLOAD_MAX_BYTES};
use protocol::{CommandId, UnixMillis};
use serde::{Deserialize, Serialize};

/// Length and checksum.
pub(super) const FRAME_BYTES: usize = 8;
/// Longest note behind its frame: a result, or a command's text written as a JSON string.
const BODY_MAX_BYTES: usize = 2 * (RESPONSE_PAYLOAD_MAX_BYTES + COMMAND_PAYLOAD_MAX_BYTES);

/// One note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub(super) enum Line {
    /// A command came, and waits; without its text it can no longer run.
    Taken {
        id: CommandId,
        digest: (u32, u32),
        expires: UnixMillis,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<String>,
    },
    /// It is begun.
    Started { id: CommandId },
    /// It ended; how is no longer kept where there is no event.
    Ended {
        id: CommandId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event: Option<Box<CommandEvent>>,
    },
    /// That was handed over to be told.
    Told { id: CommandId },
    /// It must not run if it comes.
    CancelAhead { id: CommandId, expires: UnixMillis },
    /// Commands that expire by then and are not known here may have been.
    Horizon { expires_until: UnixMillis },
    /// Commands that were made by then and are not known here may have run.
    Distrust { created_until: UnixMillis },
}

/// What tells two signed texts apart. A believed key signed both, so nobody chooses them to be alike.
pub(super) fn digest(signed: &str) -> (u32, u32) {
    (u32::try_from(signed.len()).unwrap_or(u32::MAX), crc32fast::hash(signed.as_bytes()))
}

/// The bytes to append.
pub(super) fn encode(line: &Line) -> std::io::Result<Vec<u8>> {
    let body = serde_json::to_vec(line)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_MAX_BYTES);
    let Some(length) = length else {
        return Err(std::io::Error::other(format!("a note of {} bytes", body.len())));
    };
    let length = length.to_le_bytes();
    let mut bytes = Vec::with_capacity(FRAME_BYTES + body.len());
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(&length, &body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// What stands at the beginning of some bytes.
pub(super) enum Parsed {
    /// A note, and how many bytes it takes.
    Line(Line, usize),
    /// No whole note: the end, if nothing follows.
    Torn,
    /// So many bytes that are not what was written.
    Damaged(usize),
}

pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let Some((frame, rest)) = bytes.split_first_chunk::<FRAME_BYTES>() else { return Parsed::Torn };
    let (length, expected) = frame.split_at(4);
    let mut four = [0; 4];
    four.copy_from_slice(length);
    let bytes = u32::from_le_bytes(four) as usize;
    if bytes == 0 || bytes > BODY_MAX_BYTES {
        return Parsed::Torn;
    }
    let Some(body) = rest.get(..bytes) else { return Parsed::Torn };
    if checksum(length, body).to_le_bytes() != *expected {
        return Parsed::Damaged(FRAME_BYTES + bytes);
    }
    match serde_json::from_slice(body) {
        Ok(line) => Parsed::Line(line, FRAME_BYTES + bytes),
        Err(_) => Parsed::Damaged(FRAME_BYTES + bytes),
    }
}

fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(body);
    hasher.finalize()
}
