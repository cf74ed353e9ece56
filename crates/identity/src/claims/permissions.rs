//! What a user may publish and subscribe to, and how much of it.

use serde::{Deserialize, Serialize};

use super::{NO_LIMIT, is_false, is_zero};

/// Subjects allowed and denied. An empty `allow` allows everything that is not denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Permission {
    /// Subjects (wildcards and, under a scope, templates such as `{{name()}}`).
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub allow: Vec<String>,
    /// Subjects refused although allowed.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub deny: Vec<String>,
}

/// Publish and subscribe rights of every user that has none of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Permissions {
    /// Publishing.
    #[serde(rename = "pub")]
    pub publish: Permission,
    /// Subscribing.
    #[serde(rename = "sub")]
    pub subscribe: Permission,
    /// Answering to a reply subject that was received.
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub respond: Option<ResponsePermission>,
}

/// How often and how long a user may answer to a reply subject that it received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponsePermission {
    /// Messages a request; -1 for no limit.
    pub max: i64,
    /// Nanoseconds after the request.
    pub ttl: i64,
}

/// Hours of the day in which a user may be connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// `hh:mm:ss`.
    pub start: String,
    /// `hh:mm:ss`.
    pub end: String,
}

/// Rights and limits of one user, or of every user of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserLimits {
    /// Publishing.
    #[serde(rename = "pub", default)]
    pub publish: Permission,
    /// Subscribing.
    #[serde(rename = "sub", default)]
    pub subscribe: Permission,
    /// Answering to a reply subject that was received.
    #[serde(rename = "resp", default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<ResponsePermission>,
    /// Networks (CIDR) from which a user may connect; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub src: Vec<String>,
    /// Hours in which a user may be connected; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub times: Vec<TimeRange>,
    /// Time zone of `times`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub times_location: String,
    /// Subscriptions at once; -1 for no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes; the server does not enforce it (2.15). -1 for no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes a message; -1 for no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// Whether the JWT alone signs in, without the key.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bearer_token: bool,
    /// Whether a user must come through a trusted proxy.
    #[serde(default, skip_serializing_if = "is_false")]
    pub proxy_required: bool,
    /// `STANDARD`, `WEBSOCKET`, …; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub allowed_connection_types: Vec<String>,
}

impl UserLimits {
    /// No rights or limits of its own: what a user under a scope must carry.
    #[must_use]
    pub fn scoped() -> Self {
        Self {
            publish: Permission::default(),
            subscribe: Permission::default(),
            respond: None,
            src: Vec::new(),
            times: Vec::new(),
            times_location: String::new(),
            subs: 0,
            data: 0,
            payload: 0,
            bearer_token: false,
            proxy_required: false,
            allowed_connection_types: Vec::new(),
        }
    }

    /// Everything allowed, nothing limited.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { subs: NO_LIMIT, data: NO_LIMIT, payload: NO_LIMIT, ..Self::scoped() }
    }
}

impl UserLimits {
    /// The same as servers read it in a scope: a limit of 0 cannot be told from an absent one
    /// there, and both mean "no limit".
    #[must_use]
    pub fn as_template(mut self) -> Self {
        for limit in [&mut self.subs, &mut self.data, &mut self.payload] {
            if *limit == 0 {
                *limit = NO_LIMIT;
            }
        }
        self
    }
}

/// Go's encoder writes an absent list as `null`.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
