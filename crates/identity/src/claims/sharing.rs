//! Subjects shared between accounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::permissions::nullable;
use super::{is_false, is_zero};
use crate::PublicKey;

/// How a subject is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SharingType {
    /// The exporter publishes, importers subscribe.
    Stream,
    /// Importers publish requests, the exporter answers.
    Service,
}

/// A subject that other accounts may import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What is shared, as the exporter sees it.
    pub subject: String,
    /// How it is shared.
    #[serde(rename = "type")]
    pub sharing: SharingType,
    /// Whether an importer needs an activation token.
    #[serde(default, skip_serializing_if = "is_false")]
    pub token_req: bool,
    /// Accounts whose activation is revoked, with the time in Unix seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "nullable")]
    pub revocations: BTreeMap<String, i64>,
    /// `Singleton`, `Stream` or `Chunked`; services only, empty means `Singleton`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response_type: String,
    /// Longest wait for a response, in nanoseconds; services only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub response_threshold: i64,
    /// Latency tracking, as the server's `service_latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_latency: Option<serde_json::Value>,
    /// Which token of the subject must be the importing account's public key; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub account_token_position: i64,
    /// Whether tools list it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub advertise: bool,
    /// Whether message traces may cross.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_trace: bool,
    /// Text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where people read more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub info_url: String,
}

/// A subject of another account made visible here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The subject at the exporter.
    pub subject: String,
    /// The exporting account.
    pub account: PublicKey,
    /// Activation token, where the export asks for one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// Older form of `local_subject`; read, never written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// The subject here where it differs; `$1`, `$2` … stand for the wildcards of `subject`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub local_subject: String,
    /// How it is shared.
    #[serde(rename = "type")]
    pub sharing: SharingType,
    /// Whether the importer's identity is shared for latency tracking.
    #[serde(default, skip_serializing_if = "is_false")]
    pub share: bool,
    /// Whether message traces may cross.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_trace: bool,
}
