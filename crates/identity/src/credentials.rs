//! Credentials: a user's JWT and seed, in the decorated file that every NATS client reads.
//!
//! Promises: JWT and seed belong together; printing shows the user's public key and name only.
//! Refuses: to be written with a mode wider than 0600, or over an existing file unless told.

use std::fmt;
use std::path::Path;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::key_file::{self, KeyFileError};
use crate::{KeyError, KeyKind, SecretKey, TokenError, User, Verified};

/// What a program shows to sign in at the broker.
#[derive(Clone)]
pub struct Credentials {
    jwt: SecretString,
    key: SecretKey,
    user: Verified<User>,
}

/// A creds file that cannot be used. Never repeats its content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A part is missing.
    #[error(
        "no {0} between -----BEGIN and ------END lines; \
         a creds file holds a NATS USER JWT and a USER NKEY SEED"
    )]
    Missing(&'static str),
    /// The JWT cannot be believed.
    #[error("the user JWT of the credentials is unusable; issue new ones")]
    Jwt(#[source] TokenError),
    /// The seed is damaged.
    #[error("the seed of the credentials is unusable; issue new ones")]
    Seed(#[source] KeyError),
    /// JWT and seed are of two users.
    #[error("the JWT is of user {jwt}, the seed of user {seed}; both must be from one issue")]
    Mismatch {
        /// The JWT's subject.
        jwt: String,
        /// The seed's public key.
        seed: String,
    },
    /// Reading or writing the file failed.
    #[error(transparent)]
    File(#[from] KeyFileError),
}

impl Credentials {
    /// Joins a JWT and the key that it was issued for.
    ///
    /// # Errors
    /// When the JWT is no valid user JWT or is about another key.
    pub fn new(jwt: SecretString, key: SecretKey) -> Result<Self, CredentialsError> {
        let user = Verified::read(jwt.expose_secret()).map_err(CredentialsError::Jwt)?;
        if user.subject != *key.public() {
            return Err(CredentialsError::Mismatch {
                jwt: user.subject.to_string(),
                seed: key.public().to_string(),
            });
        }
        Ok(Self { jwt, key, user })
    }

    /// Reads the text of a creds file.
    ///
    /// # Errors
    /// When a part is missing, damaged, or the two do not belong together.
    pub fn parse(text: &SecretString) -> Result<Self, CredentialsError> {
        let mut parts = Decorated::parts(text.expose_secret());
        let jwt = parts.next().ok_or(CredentialsError::Missing("NATS USER JWT"))?;
        let seed = parts.next().ok_or(CredentialsError::Missing("USER NKEY SEED"))?;
        let key = SecretKey::from_seed(SecretString::from(seed), KeyKind::User)
            .map_err(CredentialsError::Seed)?;
        Self::new(SecretString::from(jwt), key)
    }

    /// Reads a creds file, which only its owner may be able to read.
    ///
    /// # Errors
    /// When the file is absent, open to others, or its text unusable.
    pub fn load(path: &Path) -> Result<Self, CredentialsError> {
        Self::parse(&key_file::read(path)?)
    }

    /// Writes the creds file, mode 0600, whole or not at all.
    ///
    /// # Errors
    /// When a file of that name exists or the directory cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CredentialsError> {
        Ok(key_file::create(path, &self.decorated())?)
    }

    /// Writes the creds file, mode 0600, in place of one that may be there, whole or not at all.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn replace(&self, path: &Path) -> Result<(), CredentialsError> {
        Ok(key_file::replace(path, &self.decorated())?)
    }

    /// The text of a creds file.
    #[must_use]
    pub fn decorated(&self) -> SecretString {
        let text = Zeroizing::new(format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\
             NKEYs are sensitive and should be treated as secrets.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n\n\
             *************************************************************\n",
            self.jwt.expose_secret(),
            self.key.seed().expose_secret()
        ));
        SecretString::from(text.as_str())
    }

    /// The JWT, for a client's sign-in.
    #[must_use]
    pub const fn jwt(&self) -> &SecretString {
        &self.jwt
    }

    /// The key pair, for a client's sign-in.
    #[must_use]
    pub const fn key(&self) -> &SecretKey {
        &self.key
    }

    /// What the JWT says.
    #[must_use]
    pub const fn user(&self) -> &Verified<User> {
        &self.user
    }

    /// The inbox prefix that the user's role may subscribe to: `_INBOX_{name}`.
    ///
    /// Clients must be told it; the usual `_INBOX` is refused, so that nobody reads along.
    #[must_use]
    pub fn inbox_prefix(&self) -> String {
        format!("_INBOX_{}", self.user.name)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} {:?})", self.user.subject, self.user.name)
    }
}

/// The lines between a pair of decorations.
struct Decorated<'a>(std::str::Lines<'a>);

impl<'a> Decorated<'a> {
    const fn is_decoration(line: &str) -> bool {
        matches!(line.as_bytes(), [b'-', b'-', b'-', ..])
    }

    fn parts(text: &'a str) -> Self {
        Self(text.lines())
    }
}

impl<'a> Iterator for Decorated<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.by_ref().find(|line| Self::is_decoration(line.trim()))?;
        let content = self
            .0
            .by_ref()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .filter(|line| !Self::is_decoration(line))?;
        self.0.by_ref().find(|line| Self::is_decoration(line.trim()))?;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{UnixSeconds, Unsigned};

    fn credentials(name: &str) -> Credentials {
        let account = SecretKey::generate(KeyKind::Account).unwrap();
        let key = SecretKey::generate(KeyKind::User).unwrap();
        let jwt = Unsigned {
            subject: key.public().clone(),
            name: name.to_owned(),
            issued_at: UnixSeconds::now(),
            expires: None,
            body: User::scoped(account.public().clone()),
        }
        .sign(&account)
        .unwrap();
        Credentials::new(SecretString::from(jwt), key).unwrap()
    }

    #[test]
    fn what_was_written_reads_back_also_with_other_line_ends() {
        let made = credentials("d1");
        let text = made.decorated().expose_secret().to_owned();
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let read = Credentials::parse(&SecretString::from(text)).unwrap();
            assert_eq!(read.user(), made.user());
            assert_eq!(read.inbox_prefix(), "_INBOX_d1");
        }
    }

    #[test]
    fn neither_debug_nor_errors_show_jwt_or_seed() {
        let made = credentials("d1");
        let (jwt, seed) = (made.jwt().expose_secret(), made.key().seed().expose_secret());
        let whole = made.decorated().expose_secret().to_owned();
        let mut texts = vec![format!("{made:?}")];
        for broken in [
            whole.replace(seed, &seed[..40]),
            whole.replace(jwt, &jwt[..jwt.len() - 8]),
            format!("{jwt}\n{seed}"),
        ] {
            let error = Credentials::parse(&SecretString::from(broken)).unwrap_err();
            texts.push(format!("{error} {error:?}"));
        }
        for text in texts {
            assert!(!text.contains(&seed[..20]) && !text.contains(&jwt[..40]), "{text}");
        }
    }

    #[test]
    fn a_seed_of_another_user_is_refused() {
        let (one, other) = (credentials("d1"), credentials("d2"));
        let mixed = one
            .decorated()
            .expose_secret()
            .replace(one.key().seed().expose_secret(), other.key().seed().expose_secret());
        let error = Credentials::parse(&SecretString::from(mixed)).unwrap_err();
        assert!(matches!(error, CredentialsError::Mismatch { .. }), "{error}");
    }
}
