//! What an account's JWT says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::permissions::nullable;
use super::{Body, CLAIMS_VERSION, Export, Import, Permissions, UserLimits, is_false, is_zero};
use crate::{KeyKind, PublicKey, UnixSeconds};

/// Tag of an account that lets nobody in.
const SUSPENDED: &str = "suspended";

/// Body of an account JWT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Subjects of other accounts made visible here.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub imports: Vec<Import>,
    /// Subjects that other accounts may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub exports: Vec<Export>,
    /// What the operator allows the account.
    #[serde(default)]
    pub limits: AccountLimits,
    /// Keys that issue users beside the account's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub signing_keys: Vec<SigningKey>,
    /// Users (or `*`) whose JWTs issued up to that time, in Unix seconds, are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub revocations: BTreeMap<String, UnixSeconds>,
    /// Rights of users that have none of their own.
    #[serde(default)]
    pub default_permissions: Permissions,
    /// Subject mappings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub mappings: BTreeMap<String, Value>,
    /// External authorisation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub authorization: BTreeMap<String, Value>,
    /// Message tracing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Value>,
    /// Which account carries this one's traffic between servers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_traffic: String,
    /// Text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where people read more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub info_url: String,
    /// Labels; a tenant's account carries `tenant:{uuid}`, and `suspended` while it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub tags: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    version: u8,
}

/// What the operator allows an account; -1 for no limit, 0 for none at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountLimits {
    /// Subscriptions a connection.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes; the server does not enforce it (2.15).
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes a message.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
    /// Imports.
    #[serde(skip_serializing_if = "is_zero")]
    pub imports: i64,
    /// Exports.
    #[serde(skip_serializing_if = "is_zero")]
    pub exports: i64,
    /// Whether exports may hold wildcards.
    #[serde(skip_serializing_if = "is_false")]
    pub wildcards: bool,
    /// Whether bearer tokens are refused.
    #[serde(skip_serializing_if = "is_false")]
    pub disallow_bearer: bool,
    /// Connections at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub conn: i64,
    /// Leaf node connections at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub leaf: i64,
    /// Bytes of all memory streams; 0 switches them off.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_storage: i64,
    /// Bytes of all file streams; 0 switches them off.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_storage: i64,
    /// Streams.
    #[serde(skip_serializing_if = "is_zero")]
    pub streams: i64,
    /// Consumers.
    #[serde(skip_serializing_if = "is_zero")]
    pub consumer: i64,
    /// Unacknowledged messages a consumer; 0 for no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
    /// Bytes of one memory stream; 0 for no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_max_stream_bytes: i64,
    /// Bytes of one file stream; 0 for no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_max_stream_bytes: i64,
    /// Whether every stream must state its `max_bytes`.
    #[serde(skip_serializing_if = "is_false")]
    pub max_bytes_required: bool,
    /// JetStream limits a replication tier (`R1`, `R3`), instead of those above.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub tiered_limits: BTreeMap<String, JetStreamLimits>,
}

/// JetStream limits of one replication tier; fields as in [`AccountLimits`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are explained at AccountLimits")]
pub struct JetStreamLimits {
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_storage: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_storage: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub streams: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub consumer: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub mem_max_stream_bytes: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub disk_max_stream_bytes: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub max_bytes_required: bool,
}

/// A key that issues users in the account's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SigningKey {
    /// Issues users with any rights.
    Plain(PublicKey),
    /// Issues users with the rights of its template and no others.
    Scoped(Box<Scope>),
}

/// A signing key bound to a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Always `user_scope`.
    pub kind: ScopeKind,
    /// The signing key.
    pub key: PublicKey,
    /// The role's name.
    pub role: String,
    /// Rights of every user that the key issues.
    #[serde(deserialize_with = "template")]
    pub template: UserLimits,
    /// Text for people.
    #[serde(default)]
    pub description: String,
}

/// The kinds of scope that servers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// A template of user rights.
    UserScope,
}

/// Servers read an absent limit of a template as "no limit", unlike elsewhere.
fn template<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<UserLimits, D::Error> {
    Ok(UserLimits::deserialize(deserializer)?.as_template())
}

impl SigningKey {
    /// The key itself.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        match self {
            Self::Plain(key) => key,
            Self::Scoped(scope) => &scope.key,
        }
    }
}

impl Account {
    /// An account with these limits and nothing else.
    #[must_use]
    pub fn new(limits: AccountLimits) -> Self {
        Self {
            imports: Vec::new(),
            exports: Vec::new(),
            limits,
            signing_keys: Vec::new(),
            revocations: BTreeMap::new(),
            default_permissions: Permissions::default(),
            mappings: BTreeMap::new(),
            authorization: BTreeMap::new(),
            trace: None,
            cluster_traffic: String::new(),
            description: String::new(),
            info_url: String::new(),
            tags: Vec::new(),
            kind: Self::TYPE.to_owned(),
            version: CLAIMS_VERSION,
        }
    }

    /// Puts lists into the one order in which they are written.
    pub fn sort(&mut self) {
        self.imports
            .sort_by(|a, b| (&a.subject, &a.local_subject).cmp(&(&b.subject, &b.local_subject)));
        self.exports.sort_by(|a, b| a.subject.cmp(&b.subject));
        self.signing_keys.sort_by(|a, b| a.key().cmp(b.key()));
        self.tags.sort();
    }

    /// Refuses every JWT of `user` issued up to `at`; an existing later time is kept.
    pub fn revoke(&mut self, user: &PublicKey, at: UnixSeconds) {
        let time = self.revocations.entry(user.to_string()).or_insert(at);
        *time = (*time).max(at);
    }

    /// Lets nobody in, whoever has credentials: no connection is within the limit. The server ends
    /// those that are there.
    pub fn suspend(&mut self) {
        self.limits.conn = 0;
        if !self.is_suspended() {
            self.tags.push(SUSPENDED.to_owned());
            self.tags.sort();
        }
    }

    /// Lets the same credentials in again, up to `conn` connections.
    pub fn resume(&mut self, conn: i64) {
        self.limits.conn = conn;
        self.tags.retain(|tag| tag != SUSPENDED);
    }

    /// Whether it was suspended and not resumed.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.tags.iter().any(|tag| tag == SUSPENDED)
    }

    /// Takes over revocations; of two times for one user the later is kept.
    pub fn keep_revocations(&mut self, others: &BTreeMap<String, UnixSeconds>) {
        for (user, at) in others {
            let time = self.revocations.entry(user.clone()).or_insert(*at);
            *time = (*time).max(*at);
        }
    }
}

impl Body for Account {
    const TYPE: &'static str = "account";
    const SUBJECT: KeyKind = KeyKind::Account;
    const ISSUER: KeyKind = KeyKind::Operator;

    fn kind_and_version(&self) -> (&str, u8) {
        (&self.kind, self.version)
    }
}
