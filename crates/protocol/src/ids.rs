//! Identities: UUIDs that cannot be mistaken for one another.
//!
//! Promises: printed and parsed in the hyphenated lower-case form, which is also a single subject
//! token. Refuses: conversion from a bare `Uuid` without saying which identity is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::UnixMillis;

/// A text that is not a UUID where one is needed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} {value:?} is not a UUID; give it as 8-4-4-4-12 hexadecimal digits")]
pub struct IdError {
    what: &'static str,
    value: String,
}

/// Longest excerpt of a bad value that an error repeats, in characters.
const EXCERPT_CHARS: usize = 64;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            #[doc = concat!("Names the UUID as a ", $what, " id.")]
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for the edges that store it.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match Uuid::try_parse(text) {
                    Ok(uuid) => Ok(Self(uuid)),
                    Err(_) => Err(IdError {
                        what: $what,
                        value: text.chars().take(EXCERPT_CHARS).collect(),
                    }),
                }
            }
        }
    };
}

id!(
    /// A customer.
    TenantId,
    "tenant"
);
id!(
    /// One endpoint of a tenant; globally unique.
    DeviceId,
    "device"
);
id!(
    /// One order to one device (UUIDv7, so ids sort by creation).
    CommandId,
    "command"
);
id!(
    /// One run of an agent, from start to exit.
    SessionId,
    "session"
);

impl SessionId {
    /// A new session: time-ordered and unguessable.
    #[must_use]
    pub fn start() -> Self {
        Self(Uuid::now_v7())
    }

    /// When it began, by the device's clock; `None`: the id does not tell.
    #[must_use]
    pub fn began(&self) -> Option<UnixMillis> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let milliseconds =
            seconds.checked_mul(1_000)?.checked_add(u64::from(nanoseconds) / 1_000_000)?;
        i64::try_from(milliseconds).ok().map(UnixMillis::new)
    }

    /// As [`SessionId::to_bytes`] gave it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// For a file, in the order of its digits.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl CommandId {
    /// A new command's id: time-ordered and unguessable.
    #[must_use]
    pub fn create() -> Self {
        Self(Uuid::now_v7())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_id_names_what_it_should_have_been() {
        let error = "not-a-uuid".parse::<DeviceId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "device \"not-a-uuid\" is not a UUID; give it as 8-4-4-4-12 hexadecimal digits"
        );
    }

    #[test]
    fn a_session_tells_when_it_began() {
        let before = UnixMillis::now();
        let began = SessionId::start().began().unwrap();
        assert!(before <= began && began <= UnixMillis::now());
        assert_eq!(SessionId::new(Uuid::nil()).began(), None);
    }

    #[test]
    fn ids_print_as_one_lower_case_subject_token() {
        let id: TenantId = "0192F3A1-0000-7000-8000-00000000000A".parse().unwrap();
        assert_eq!(id.to_string(), "0192f3a1-0000-7000-8000-00000000000a");
    }
}
