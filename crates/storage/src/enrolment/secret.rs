//! The token itself.
//!
//! Promises: 256 random bits, so that its SHA-256 can be neither guessed nor turned back and needs
//! no salt and no slow hash; it is shown by [`EnrollToken::expose`] alone.

use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// What every token starts with, so that people and scanners know one when they see it.
const PREFIX: &str = "wegweiser_enroll_";
const RANDOM_BYTES: usize = 32;

/// What admits a device.
#[derive(Clone, Debug)]
pub struct EnrollToken(SecretString);

impl EnrollToken {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        let random: [u8; RANDOM_BYTES] = rand::random();
        Self(SecretString::from(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&random))))
    }

    /// The token that the text is, or `None` where it has not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let random = BASE64URL_NOPAD.decode(text.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        (random.len() == RANDOM_BYTES).then(|| Self(SecretString::from(text.to_owned())))
    }

    /// The text, for whoever enrols a device and nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(super) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.expose()).to_vec()
    }
}
