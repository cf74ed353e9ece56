//! Keys: public ones that may be shown, secret ones that may not.
//!
//! Promises: a [`PublicKey`] has the right prefix and checksum; a [`SecretKey`] prints its public
//! half only and wipes its seed when dropped. Refuses: a key of another kind than was asked for.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use nkeys::{KeyPair, KeyPairType};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::KeyDirError;

/// Longest excerpt of a bad public key that an error repeats, in characters.
const EXCERPT_CHARS: usize = 60;

/// What a key stands for; its first letter says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `O`: vouches for accounts.
    Operator,
    /// `A`: vouches for users.
    Account,
    /// `U`: connects.
    User,
    /// `V`: signs commands to devices; the broker never sees it.
    Signer,
}

/// A public key in its 56 characters; safe to show.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

/// A key pair's seed.
#[derive(Clone)]
pub struct SecretKey {
    public: PublicKey,
    seed: SecretString,
}

/// A text that is no key of the wanted kind. Never repeats a seed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a public key of a kind that we know.
    #[error(
        "{0:?} is not a public key of an operator (O…), account (A…), user (U…) or command \
         signer (V…); give its 56 characters"
    )]
    NotPublic(String),
    /// A key of another kind.
    #[error("{found} is not {wanted} public key")]
    OtherKind {
        /// What was needed.
        wanted: KeyKind,
        /// The key that came.
        found: PublicKey,
    },
    /// Not a seed; the text is left out, for it may be a damaged one.
    #[error("not a seed of {wanted} key (58 characters that start with S)")]
    NotSeed {
        /// What was needed.
        wanted: KeyKind,
    },
    /// The key library could not sign.
    #[error("signing with {0} failed")]
    Signing(PublicKey),
}

impl KeyKind {
    const fn letter(self) -> char {
        match self {
            Self::Operator => 'O',
            Self::Account => 'A',
            Self::User => 'U',
            Self::Signer => 'V',
        }
    }

    const fn pair_type(self) -> KeyPairType {
        match self {
            Self::Operator => KeyPairType::Operator,
            Self::Account => KeyPairType::Account,
            Self::User => KeyPairType::User,
            Self::Signer => KeyPairType::Service,
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Operator, Self::Account, Self::User, Self::Signer]
            .into_iter()
            .find(|kind| text.starts_with(kind.letter()))
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "an operator",
            Self::Account => "an account",
            Self::User => "a user",
            Self::Signer => "a command signer",
        })
    }
}

impl PublicKey {
    /// The key's 56 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whose key it is.
    #[must_use]
    pub fn is(&self, kind: KeyKind) -> bool {
        self.0.starts_with(kind.letter())
    }

    /// The key, if it is of this kind.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn expect_kind(self, wanted: KeyKind) -> Result<Self, KeyError> {
        if self.is(wanted) {
            return Ok(self);
        }
        Err(KeyError::OtherKind { wanted, found: self })
    }

    /// Whether `signature` over `data` was made with this key's secret half.
    #[must_use]
    pub fn verifies(&self, data: &[u8], signature: &[u8]) -> bool {
        KeyPair::from_public_key(&self.0).and_then(|pair| pair.verify(data, signature)).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let known = KeyKind::of(text).is_some() && KeyPair::from_public_key(text).is_ok();
        if !known {
            return Err(KeyError::NotPublic(text.chars().take(EXCERPT_CHARS).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SecretKey {
    /// A new key from the system's random source.
    ///
    /// # Errors
    /// When the key library gives a key that it does not accept itself.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let pair = KeyPair::new(kind.pair_type());
        let seed = pair.seed().map_err(|_| KeyError::NotSeed { wanted: kind })?;
        Ok(Self { public: PublicKey(pair.public_key()), seed: SecretString::from(seed) })
    }

    /// The key that a file holds (mode 0600), made there if it is missing.
    ///
    /// # Errors
    /// When the file is open to others or holds something else, or cannot be written.
    pub fn kept_in(path: &Path, kind: KeyKind) -> Result<Self, KeyDirError> {
        crate::key_dir::ensure(path, kind)
    }

    /// Reads a seed of the wanted kind.
    ///
    /// # Errors
    /// When the text is no seed or one of another kind.
    pub fn from_seed(seed: SecretString, wanted: KeyKind) -> Result<Self, KeyError> {
        let pair = KeyPair::from_seed(seed.expose_secret())
            .ok()
            .filter(|pair| pair.key_pair_type() == wanted.pair_type())
            .ok_or(KeyError::NotSeed { wanted })?;
        Ok(Self { public: PublicKey(pair.public_key()), seed })
    }

    /// The half that may be shown.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The seed, for a file or a client's sign-in; nothing else.
    #[must_use]
    pub const fn seed(&self) -> &SecretString {
        &self.seed
    }

    /// Signs `data` (64 bytes, Ed25519).
    ///
    /// # Errors
    /// When the key library refuses its own seed.
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        KeyPair::from_seed(self.seed.expose_secret())
            .and_then(|pair| pair.sign(data))
            .map_err(|_| KeyError::Signing(self.public.clone()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_never_prints_its_seed() {
        let key = SecretKey::generate(KeyKind::User).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains(key.public().as_str()));
        assert!(!shown.contains(key.seed().expose_secret()));
    }

    #[test]
    fn a_seed_of_another_kind_is_refused_without_repeating_it() {
        let key = SecretKey::generate(KeyKind::User).unwrap();
        let error = SecretKey::from_seed(key.seed().clone(), KeyKind::Account).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a seed of an account key (58 characters that start with S)"
        );
    }

    #[test]
    fn only_public_keys_with_a_right_checksum_are_read() {
        let good = SecretKey::generate(KeyKind::Account).unwrap().public().to_string();
        assert!(good.parse::<PublicKey>().is_ok());
        let mut damaged = good.into_bytes();
        damaged[20] = if damaged[20] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(damaged).unwrap();
        for text in [damaged.as_str(), "", "A", "SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W"] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
    }
}
