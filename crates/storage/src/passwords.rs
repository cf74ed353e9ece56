//! Passwords of people: argon2id, with a salt each, in the usual text (PHC).
//!
//! Promises: hashing and comparing take a fraction of a second and 19 MiB on purpose, so that
//! guessing is dear; call them where a thread may be blocked.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};

/// Shortest and longest password, in characters.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 12..=256;

/// What no password hashes to, so that an unknown name takes as long as a known one.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                       AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has {} to {} characters", PASSWORD_CHARS.start(), PASSWORD_CHARS.end())]
    Length,
    /// This machine made no hash.
    #[error("hashing the password failed: {0}")]
    Hash(String),
}

/// Hashes a password that somebody chose.
///
/// # Errors
/// It is too short or too long, or this machine has no random numbers.
pub fn hash_password(password: &SecretString) -> Result<String, PasswordError> {
    let text = password.expose_secret();
    if !PASSWORD_CHARS.contains(&text.chars().count()) {
        return Err(PasswordError::Length);
    }
    let hash = Argon2::default().hash_password(text.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Hash(error.to_string()))
}

/// Whether a password is the one that was hashed; `None` takes as long and is never so.
#[must_use]
pub fn is_password(password: &SecretString, hash: Option<&str>) -> bool {
    let Ok(known) = PasswordHash::new(hash.unwrap_or(NOBODYS)) else {
        return false;
    };
    let given = password.expose_secret().as_bytes();
    Argon2::default().verify_password(given, &known).is_ok() && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_password_is_right_and_nobodys_is_never() {
        let password = SecretString::from("correct horse battery");
        let hash = hash_password(&password).unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(is_password(&password, Some(&hash)));
        assert!(!is_password(&SecretString::from("correct horse"), Some(&hash)));
        assert!(!is_password(&password, None));
        assert!(PasswordHash::new(NOBODYS).is_ok());
        assert!(matches!(hash_password(&SecretString::from("short")), Err(PasswordError::Length)));
    }
}
