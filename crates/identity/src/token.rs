//! JWTs as text: signed from claims, and read back only after verification.
//!
//! Promises: the same claims and key give the same text; [`Verified`] exists only for a text whose
//! signature matches the issuer that it names. Refuses: to say whether that issuer is trusted (ask
//! [`Verified::issuer`]) and whether the time is right (ask [`Verified::is_expired`]).

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512_256};

use crate::claims::{Body, CLAIMS_VERSION};
use crate::{KeyError, PublicKey, SecretKey, UnixSeconds};

/// Longest JWT that is written or read, in bytes; the servers' library has the same bound.
pub const JWT_MAX_BYTES: usize = 1024 * 1024;

/// The only header that is written.
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

/// Claims that are to be signed.
#[derive(Clone, Debug)]
pub struct Unsigned<B> {
    /// Whom the JWT is about.
    pub subject: PublicKey,
    /// A name for people; under a scope `{{name()}}` of the role's template.
    pub name: String,
    /// When it was issued.
    pub issued_at: UnixSeconds,
    /// When it ends; never, if absent.
    pub expires: Option<UnixSeconds>,
    /// What it says.
    pub body: B,
}

/// Claims whose signature has been checked against their issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified<B> {
    /// Whom the JWT is about.
    pub subject: PublicKey,
    /// Who signed.
    pub issuer: PublicKey,
    /// A name for people.
    pub name: String,
    /// When it was issued.
    pub issued_at: UnixSeconds,
    /// When it ends; never, if absent.
    pub expires: Option<UnixSeconds>,
    /// The JWT's id: a hash of the claims outside the body.
    pub id: String,
    /// What it says.
    pub body: B,
}

/// A JWT that cannot be made or believed. Never repeats the token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A key of the wrong kind, or one that does not sign.
    #[error("a key does not fit this JWT")]
    Key(#[source] KeyError),
    /// Longer than [`JWT_MAX_BYTES`].
    #[error("the JWT of {subject} has {bytes} bytes, servers take {JWT_MAX_BYTES} at most")]
    TooLong {
        /// Whom it is about.
        subject: String,
        /// Its length.
        bytes: usize,
    },
    /// Not three base64url parts with a known header.
    #[error("not a JWT of the NATS ecosystem: {0}")]
    Malformed(&'static str),
    /// Claims that do not have the expected form.
    #[error("the claims are not those of {wanted} JWT version 2")]
    Claims {
        /// The kind that was expected.
        wanted: &'static str,
        /// What is wrong, with the field's name.
        #[source]
        source: serde_json::Error,
    },
    /// Another kind or version of JWT.
    #[error("a {found:?} JWT version {version} where {wanted:?} version 2 is needed")]
    OtherKind {
        /// The kind that was expected.
        wanted: &'static str,
        /// The kind that came.
        found: String,
        /// Its version.
        version: u8,
    },
    /// Changed after signing, or signed by another key than it says.
    #[error("the signature does not match issuer {0}")]
    Signature(PublicKey),
}

/// The fields outside the body, in the order in which the ecosystem's library hashes them.
#[derive(Serialize)]
struct Hashed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<UnixSeconds>,
    #[serde(skip_serializing_if = "str::is_empty")]
    jti: &'a str,
    iat: UnixSeconds,
    iss: &'a PublicKey,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    sub: &'a PublicKey,
}

#[derive(Serialize)]
struct Outgoing<'a, B> {
    #[serde(flatten)]
    common: Hashed<'a>,
    nats: &'a B,
}

#[derive(Deserialize)]
struct Incoming<B> {
    #[serde(default)]
    exp: Option<UnixSeconds>,
    #[serde(default)]
    jti: String,
    iat: UnixSeconds,
    iss: PublicKey,
    #[serde(default)]
    name: String,
    sub: PublicKey,
    nats: B,
}

impl<B: Body> Unsigned<B> {
    /// The JWT's text, signed with `key`.
    ///
    /// # Errors
    /// When subject or key is of the wrong kind, or the text would be longer than
    /// [`JWT_MAX_BYTES`].
    pub fn sign(&self, key: &SecretKey) -> Result<String, TokenError> {
        for (public, kind) in [(&self.subject, B::SUBJECT), (key.public(), B::ISSUER)] {
            public.clone().expect_kind(kind).map_err(TokenError::Key)?;
        }
        let mut common = Hashed {
            exp: self.expires,
            jti: "",
            iat: self.issued_at,
            iss: key.public(),
            name: &self.name,
            sub: &self.subject,
        };
        let malformed = |source| TokenError::Claims { wanted: B::TYPE, source };
        let hashed = as_go_writes(&serde_json::to_string(&common).map_err(malformed)?);
        let id = BASE32_NOPAD.encode(&Sha512_256::digest(hashed.as_bytes()));
        common.jti = &id;
        let claims =
            serde_json::to_vec(&Outgoing { common, nats: &self.body }).map_err(malformed)?;

        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(HEADER.as_bytes()),
            BASE64URL_NOPAD.encode(&claims)
        );
        let signature = key.sign(signed.as_bytes()).map_err(TokenError::Key)?;
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
        if token.len() > JWT_MAX_BYTES {
            return Err(TokenError::TooLong {
                subject: self.subject.to_string(),
                bytes: token.len(),
            });
        }
        Ok(token)
    }
}

impl<B: Body> Verified<B> {
    /// Reads a JWT and checks its signature.
    ///
    /// # Errors
    /// When the text is no such JWT, holds claims unknown here, or was not signed by its issuer.
    pub fn read(token: &str) -> Result<Self, TokenError> {
        let token = token.trim();
        if token.len() > JWT_MAX_BYTES {
            return Err(TokenError::Malformed("longer than 1 MiB"));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else {
            return Err(TokenError::Malformed("three parts with a dot between are needed"));
        };
        let decode = |part: &str| {
            BASE64URL_NOPAD
                .decode(part.as_bytes())
                .map_err(|_| TokenError::Malformed("a part is not base64url without padding"))
        };
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| TokenError::Malformed("the header is not JSON with typ and alg"))?;
        if !header.typ.eq_ignore_ascii_case("JWT") || header.alg != "ed25519-nkey" {
            return Err(TokenError::Malformed("typ is not JWT or alg is not ed25519-nkey"));
        }
        let claims: Incoming<B> = serde_json::from_slice(&decode(claims)?)
            .map_err(|source| TokenError::Claims { wanted: B::TYPE, source })?;
        let signed_bytes = token.rfind('.').unwrap_or_default();
        let signature = decode(signature)?;
        if !claims.iss.verifies(&token.as_bytes()[..signed_bytes], &signature) {
            return Err(TokenError::Signature(claims.iss));
        }
        let (kind, version) = claims.nats.kind_and_version();
        if kind != B::TYPE || version != CLAIMS_VERSION {
            return Err(TokenError::OtherKind { wanted: B::TYPE, found: kind.to_owned(), version });
        }
        Ok(Self {
            subject: claims.sub.expect_kind(B::SUBJECT).map_err(TokenError::Key)?,
            issuer: claims.iss.expect_kind(B::ISSUER).map_err(TokenError::Key)?,
            name: claims.name,
            issued_at: claims.iat,
            expires: claims.exp.filter(|at| at.as_i64() > 0),
            id: claims.jti,
            body: claims.nats,
        })
    }

    /// Whether it has ended by `now`.
    #[must_use]
    pub fn is_expired(&self, now: UnixSeconds) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
}

/// Go's encoder escapes these; only the id's hash depends on it.
fn as_go_writes(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
