//! Tokens that are shown once and kept as a hash.
//!
//! Promises: 256 random bits, so that the SHA-256 can be neither guessed nor turned back and needs
//! no salt and no slow hash; a token is shown by [`SecretToken::expose`] alone. Looking it up by its
//! hash takes the same time whatever of it is right.

use std::marker::PhantomData;

use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

const RANDOM_BYTES: usize = 32;

/// What a token is for.
pub trait Purpose {
    /// What such a token starts with, so that people and scanners know one when they see it.
    const PREFIX: &str;
}

/// Use of the HTTP API.
#[derive(Clone, Debug)]
pub struct Api;

impl Purpose for Api {
    const PREFIX: &str = "wegweiser_api_";
}

/// Admission of a device.
#[derive(Clone, Debug)]
pub struct Enrolling;

impl Purpose for Enrolling {
    const PREFIX: &str = "wegweiser_enroll_";
}

/// A session of somebody at the web service.
#[derive(Clone, Debug)]
pub struct Session;

impl Purpose for Session {
    const PREFIX: &str = "wegweiser_session_";
}

/// Signing in once, without a password.
#[derive(Clone, Debug)]
pub struct Link;

impl Purpose for Link {
    const PREFIX: &str = "wegweiser_link_";
}

/// What a browser shows of its session.
pub type SessionToken = SecretToken<Session>;
/// What lets the first admin in.
pub type LinkToken = SecretToken<Link>;
/// A token of the HTTP API.
pub type ApiToken = SecretToken<Api>;
/// What admits a device.
pub type EnrollToken = SecretToken<Enrolling>;

/// A token for one purpose.
#[derive(Clone, Debug)]
pub struct SecretToken<P>(SecretString, PhantomData<P>);

impl<P: Purpose> SecretToken<P> {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        let random: [u8; RANDOM_BYTES] = rand::random();
        let text = format!("{}{}", P::PREFIX, BASE64URL_NOPAD.encode(&random));
        Self(SecretString::from(text), PhantomData)
    }

    /// The token that the text is, or `None` where it has not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let random = BASE64URL_NOPAD.decode(text.strip_prefix(P::PREFIX)?.as_bytes()).ok()?;
        let text = || SecretString::from(text.to_owned());
        (random.len() == RANDOM_BYTES).then(|| Self(text(), PhantomData))
    }

    /// The text, for its user and nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(crate) fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.expose()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_generated_reads_as_a_token_and_debug_hides_it() {
        let token = ApiToken::generate();
        let (text, prefix) = (token.expose(), Api::PREFIX);
        assert!(ApiToken::parse(text).is_some());
        assert!(!format!("{token:?}").contains(&text[prefix.len()..]));
        let other = EnrollToken::generate();
        for bad in
            ["", prefix, &text[..text.len() - 1], &text[1..], &format!("{text}A"), other.expose()]
        {
            assert!(ApiToken::parse(bad).is_none(), "{bad}");
        }
    }
}
