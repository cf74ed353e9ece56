//! What JWTs say, in the field names of the ecosystem's library (version 2).
//!
//! Source: `github.com/nats-io/jwt/v2`. Every field that it knows is here, so that claims pushed by
//! another tool are read in full; a field that is unknown here is an error, never dropped.

mod account;
mod operator;
mod permissions;
mod sharing;
mod user;

pub use account::{Account, AccountLimits, JetStreamLimits, Scope, ScopeKind, SigningKey};
pub use operator::{AccountDeletion, Operator};
pub use permissions::{Permission, Permissions, ResponsePermission, TimeRange, UserLimits};
pub use sharing::{Export, Import, SharingType};
pub use user::User;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::KeyKind;

/// The number that means "no limit" in every limit of a JWT.
pub(crate) const NO_LIMIT: i64 = -1;

/// The version of claims that is written and read.
pub(crate) const CLAIMS_VERSION: u8 = 2;

/// The part of a JWT that is specific to its kind.
pub trait Body: Serialize + DeserializeOwned {
    /// The `type` field.
    const TYPE: &'static str;
    /// Whose key the subject is.
    const SUBJECT: KeyKind;
    /// Whose key signs.
    const ISSUER: KeyKind;

    /// The `type` and `version` as read.
    fn kind_and_version(&self) -> (&str, u8);
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) const fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) const fn is_false(flag: &bool) -> bool {
    !*flag
}
