//! Signatures of commands: made with the operator's keys, checked against those that a device pins.
//!
//! What is signed is the prefix `wegweiser-command-v1` and a line end, then the command's text: a
//! signature that was made for anything else is none here, and none made here is of use elsewhere.
//! Promises: a [`Command`] that [`verify_command`] returns is, byte for byte, what a believed key
//! signed. Refuses: a key that is not among the believed, whatever its signature says.

use data_encoding::BASE64URL_NOPAD;
use protocol::command::{MalformedCommand, TrustKeys};
use protocol::{Command, CommandKind, SignedCommand};

use crate::key_dir::{KeyDir, KeyDirError};
use crate::{KeyError, PublicKey, SecretKey};

/// What stands before the text in the bytes that are signed.
const DOMAIN: &[u8] = b"wegweiser-command-v1\n";

/// Signs commands with the operator's keys.
#[derive(Clone, Debug)]
pub struct CommandSigner {
    /// The believed keys, the newest first.
    keys: Vec<SecretKey>,
}

/// Why a command was not signed.
#[derive(Debug, thiserror::Error)]
pub enum CommandSigningError {
    /// The keys cannot be had.
    #[error("the keys that sign commands cannot be read")]
    Keys(#[source] KeyDirError),
    /// None was made yet.
    #[error("there is no key that signs commands; run `wegweiser accounts apply`")]
    NoKey,
    /// The key library refused.
    #[error("the command was not signed")]
    Signing(#[source] KeyError),
    /// It cannot be written.
    #[error("the command cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
}

/// Why a message is not believed to be a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandRefused {
    /// Its key is none of those that are believed.
    #[error(
        "the device does not believe key {0}; it believes the keys that it was enrolled with and \
         those that agent.trust-keys brought"
    )]
    UnknownKey(String),
    /// The signature is not of this text by this key.
    #[error("the signature does not match key {0}: the command was changed, or never signed")]
    WrongSignature(String),
    /// A believed key signed what is no command.
    #[error(transparent)]
    Malformed(#[from] MalformedCommand),
}

/// Longest excerpt of a key that an error repeats, in characters.
const EXCERPT_CHARS: usize = 60;

impl CommandSigner {
    /// The signer with the keys of a key directory.
    ///
    /// # Errors
    /// A key is unusable, or there is none.
    pub fn open(keys: &KeyDir) -> Result<Self, CommandSigningError> {
        let keys = keys.command_keys().map_err(CommandSigningError::Keys)?;
        Self::with_keys(keys)
    }

    /// The signer with these keys, the newest first.
    ///
    /// # Errors
    /// There is none.
    pub fn with_keys(keys: Vec<SecretKey>) -> Result<Self, CommandSigningError> {
        if keys.is_empty() {
            return Err(CommandSigningError::NoKey);
        }
        Ok(Self { keys })
    }

    /// What a device has to believe: the arguments of `agent.trust-keys` after a rotation.
    #[must_use]
    pub fn trust(&self) -> TrustKeys {
        TrustKeys { keys: self.keys.iter().map(|key| key.public().to_string()).collect() }
    }

    /// Signs with the newest key; what brings new keys with the oldest that is believed, for that is
    /// the one that a device knows before it has the new ones.
    ///
    /// # Errors
    /// The key library refused, or the command cannot be written.
    pub fn sign(&self, command: &Command) -> Result<SignedCommand, CommandSigningError> {
        let brings_keys = &*command.kind == CommandKind::TrustKeys.name();
        let key = if brings_keys { self.keys.last() } else { self.keys.first() };
        let key = key.ok_or(CommandSigningError::NoKey)?;
        let signed = command.to_text().map_err(CommandSigningError::Unwritable)?;
        let signature = key.sign(&signed_bytes(&signed)).map_err(CommandSigningError::Signing)?;
        Ok(SignedCommand {
            command_id: command.command_id,
            signed,
            signature: BASE64URL_NOPAD.encode(&signature),
            key: key.public().to_string(),
        })
    }
}

/// The command that a believed key signed.
///
/// # Errors
/// The key is not believed, the signature is not of this text, or the text is no command.
pub fn verify_command(
    signed: &SignedCommand,
    believed: &[PublicKey],
) -> Result<Command, CommandRefused> {
    let shown = || signed.key.chars().take(EXCERPT_CHARS).collect::<String>();
    let Some(key) = believed.iter().find(|key| key.as_str() == signed.key) else {
        return Err(CommandRefused::UnknownKey(shown()));
    };
    let signature = BASE64URL_NOPAD.decode(signed.signature.as_bytes());
    let matches =
        signature.is_ok_and(|signature| key.verifies(&signed_bytes(&signed.signed), &signature));
    if !matches {
        return Err(CommandRefused::WrongSignature(shown()));
    }
    Ok(Command::from_signed_text(&signed.signed)?)
}

fn signed_bytes(text: &str) -> Vec<u8> {
    [DOMAIN, text.as_bytes()].concat()
}

#[cfg(test)]
#[path = "command_signature_tests.rs"]
mod tests;
