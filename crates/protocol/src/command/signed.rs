//! The envelope: the exact text that was signed, the signature, and whose it is.
//!
//! Promises: bounded before it is parsed; nothing in it is believed before its signature was
//! checked (in `identity`, which alone knows keys). The id outside the signed text is for reading
//! along.

use serde::{Deserialize, Serialize};

use crate::CommandId;
use crate::limits::COMMAND_PAYLOAD_MAX_BYTES;

/// A command as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCommand {
    /// Which command it says it is; not believed.
    pub command_id: CommandId,
    /// The exact text that was signed: JSON, as a JSON string.
    pub signed: String,
    /// Base64url without padding of 64 bytes.
    pub signature: String,
    /// Public key of the signer.
    pub key: String,
}

/// What is no command, with the field and the remedy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no command of this form: {0}")]
pub struct MalformedCommand(String);

/// Longest excerpt of a mistake that is repeated, in characters.
const EXCERPT_CHARS: usize = 300;

impl MalformedCommand {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        let problem: String = problem.into();
        Self(problem.chars().take(EXCERPT_CHARS).collect())
    }
}

impl SignedCommand {
    /// Reads a payload.
    ///
    /// # Errors
    /// It is too large, or no JSON of this form.
    pub fn read(payload: &[u8]) -> Result<Self, MalformedCommand> {
        let bytes = payload.len();
        if bytes > COMMAND_PAYLOAD_MAX_BYTES {
            let most = COMMAND_PAYLOAD_MAX_BYTES;
            return Err(MalformedCommand::new(format!("it has {bytes} bytes of {most}")));
        }
        serde_json::from_slice(payload).map_err(|error| MalformedCommand::new(error.to_string()))
    }

    /// The payload.
    ///
    /// # Errors
    /// It is larger than the stream takes.
    pub fn to_payload(&self) -> Result<Vec<u8>, MalformedCommand> {
        let written = serde_json::to_vec(self);
        let payload = written.map_err(|error| MalformedCommand::new(error.to_string()))?;
        let (bytes, most) = (payload.len(), COMMAND_PAYLOAD_MAX_BYTES);
        if bytes > most {
            let problem = format!("it has {bytes} bytes of {most}; give shorter arguments");
            return Err(MalformedCommand::new(problem));
        }
        Ok(payload)
    }

    /// The id that a payload names which cannot be read otherwise, if it names one.
    #[must_use]
    pub fn id_in(payload: &[u8]) -> Option<CommandId> {
        #[derive(Deserialize)]
        struct Named {
            command_id: CommandId,
        }
        if payload.len() > COMMAND_PAYLOAD_MAX_BYTES {
            return None;
        }
        serde_json::from_slice::<Named>(payload).ok().map(|named| named.command_id)
    }
}
