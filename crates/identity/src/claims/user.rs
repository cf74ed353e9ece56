//! What a user's JWT says.

use serde::{Deserialize, Serialize};

use super::permissions::{ResponsePermission, TimeRange, nullable};
use super::{Body, CLAIMS_VERSION, Permission, UserLimits, is_false, is_zero};
use crate::{KeyKind, PublicKey};

/// Body of a user JWT. Rights and limits stand on the same level as in the ecosystem's library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub struct User {
    /// Rights and limits; empty under a scope, where the account's template rules.
    pub limits: UserLimits,
    /// The account, where one of its signing keys issued the JWT.
    pub issuer_account: Option<PublicKey>,
    /// Labels.
    pub tags: Vec<String>,
    kind: String,
    version: u8,
}

impl User {
    /// A user of `account` with the rights of the signing key's scope and none of its own.
    #[must_use]
    pub fn scoped(account: PublicKey) -> Self {
        Self::with_limits(account, UserLimits::scoped())
    }

    /// A user of `account` with rights of its own; servers refuse it under a scoped key.
    #[must_use]
    pub fn with_limits(account: PublicKey, limits: UserLimits) -> Self {
        Self {
            limits,
            issuer_account: Some(account),
            tags: Vec::new(),
            kind: Self::TYPE.to_owned(),
            version: CLAIMS_VERSION,
        }
    }
}

impl Body for User {
    const TYPE: &'static str = "user";
    const SUBJECT: KeyKind = KeyKind::User;
    const ISSUER: KeyKind = KeyKind::Account;

    fn kind_and_version(&self) -> (&str, u8) {
        (&self.kind, self.version)
    }
}

/// The wire's single level; serde cannot both flatten and refuse unknown fields.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    #[serde(rename = "pub", default)]
    publish: Permission,
    #[serde(rename = "sub", default)]
    subscribe: Permission,
    #[serde(rename = "resp", default, skip_serializing_if = "Option::is_none")]
    respond: Option<ResponsePermission>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    src: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    times: Vec<TimeRange>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    times_location: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    subs: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    data: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    payload: i64,
    #[serde(default, skip_serializing_if = "is_false")]
    bearer_token: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    proxy_required: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    allowed_connection_types: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer_account: Option<PublicKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    tags: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    version: u8,
}

impl From<Flat> for User {
    fn from(flat: Flat) -> Self {
        Self {
            limits: UserLimits {
                publish: flat.publish,
                subscribe: flat.subscribe,
                respond: flat.respond,
                src: flat.src,
                times: flat.times,
                times_location: flat.times_location,
                subs: flat.subs,
                data: flat.data,
                payload: flat.payload,
                bearer_token: flat.bearer_token,
                proxy_required: flat.proxy_required,
                allowed_connection_types: flat.allowed_connection_types,
            },
            issuer_account: flat.issuer_account,
            tags: flat.tags,
            kind: flat.kind,
            version: flat.version,
        }
    }
}

impl From<User> for Flat {
    fn from(user: User) -> Self {
        let limits = user.limits;
        Self {
            publish: limits.publish,
            subscribe: limits.subscribe,
            respond: limits.respond,
            src: limits.src,
            times: limits.times,
            times_location: limits.times_location,
            subs: limits.subs,
            data: limits.data,
            payload: limits.payload,
            bearer_token: limits.bearer_token,
            proxy_required: limits.proxy_required,
            allowed_connection_types: limits.allowed_connection_types,
            issuer_account: user.issuer_account,
            tags: user.tags,
            kind: user.kind,
            version: user.version,
        }
    }
}
