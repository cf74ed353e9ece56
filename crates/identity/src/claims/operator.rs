//! What an operator's JWT says, and its order to delete accounts.

use serde::{Deserialize, Serialize};

use super::permissions::nullable;
use super::{Body, CLAIMS_VERSION, is_false};
use crate::{KeyKind, PublicKey};

/// Body of an operator JWT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Keys that sign accounts in the operator's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub signing_keys: Vec<PublicKey>,
    /// Account server of older installations.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account_server_url: String,
    /// Where tools find the servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub operator_service_urls: Vec<String>,
    /// The system account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_account: Option<PublicKey>,
    /// Lowest server version, as `2.15.1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub assert_server_version: String,
    /// Whether the servers refuse accounts that the identity key signed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict_signing_key_usage: bool,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub tags: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    version: u8,
}

impl Operator {
    /// An operator whose accounts are signed by `signing_keys` only.
    #[must_use]
    pub fn new(signing_keys: Vec<PublicKey>, system_account: PublicKey) -> Self {
        Self {
            signing_keys,
            account_server_url: String::new(),
            operator_service_urls: Vec::new(),
            system_account: Some(system_account),
            assert_server_version: String::new(),
            strict_signing_key_usage: true,
            tags: Vec::new(),
            kind: Self::TYPE.to_owned(),
            version: CLAIMS_VERSION,
        }
    }
}

impl Body for Operator {
    const TYPE: &'static str = "operator";
    const SUBJECT: KeyKind = KeyKind::Operator;
    const ISSUER: KeyKind = KeyKind::Operator;

    fn kind_and_version(&self) -> (&str, u8) {
        (&self.kind, self.version)
    }
}

/// Body of the order with which an operator's key deletes accounts at the servers.
///
/// Subject and issuer are the same operator key (`$SYS.REQ.CLAIMS.DELETE`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountDeletion {
    /// The accounts to delete.
    pub accounts: Vec<PublicKey>,
    #[serde(rename = "type")]
    kind: String,
    version: u8,
}

impl AccountDeletion {
    /// An order to delete `accounts`.
    #[must_use]
    pub fn new(accounts: Vec<PublicKey>) -> Self {
        Self { accounts, kind: Self::TYPE.to_owned(), version: CLAIMS_VERSION }
    }
}

impl Body for AccountDeletion {
    const TYPE: &'static str = "generic";
    const SUBJECT: KeyKind = KeyKind::Operator;
    const ISSUER: KeyKind = KeyKind::Operator;

    fn kind_and_version(&self) -> (&str, u8) {
        (&self.kind, self.version)
    }
}
