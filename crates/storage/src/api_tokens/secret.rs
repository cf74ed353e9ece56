//! The token itself.
//!
//! Promises: 256 random bits, so that its SHA-256 can be neither guessed nor turned back and needs
//! no salt and no slow hash; it is shown by [`ApiToken::expose`] alone. Looking it up by its hash
//! takes the same time whatever of it is right.

use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// What every token starts with, so that people and scanners know one when they see it.
const PREFIX: &str = "wegweiser_api_";
const RANDOM_BYTES: usize = 32;

/// A token of the HTTP API.
#[derive(Clone, Debug)]
pub struct ApiToken(SecretString);

impl ApiToken {
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

    /// The text, for its user and nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(super) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.expose()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_generated_reads_as_a_token_and_debug_hides_it() {
        let token = ApiToken::generate();
        let text = token.expose();
        assert!(ApiToken::parse(text).is_some());
        assert!(!format!("{token:?}").contains(&text[PREFIX.len()..]));
        for bad in ["", PREFIX, &text[..text.len() - 1], &text[1..], &format!("{text}A")] {
            assert!(ApiToken::parse(bad).is_none(), "{bad}");
        }
    }
}
