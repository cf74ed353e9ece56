//! The broker's accounts by name.

use std::fmt;
use std::str::FromStr;

use protocol::TenantId;

/// One account of the broker, under the name that files and directories use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountName {
    /// `SYS`: the servers' own; through it accounts are pushed.
    System,
    /// `BACKEND`: the only one with JetStream; owns every stream.
    Backend,
    /// A tenant's, named by its UUID.
    Tenant(TenantId),
}

/// A text that names no account.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("account {0:?} is neither SYS, BACKEND nor a tenant's UUID")]
pub struct AccountNameError(String);

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("SYS"),
            Self::Backend => f.write_str("BACKEND"),
            Self::Tenant(tenant) => tenant.fmt(f),
        }
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        match text {
            "SYS" => Ok(Self::System),
            "BACKEND" => Ok(Self::Backend),
            other => other
                .parse()
                .map(Self::Tenant)
                .map_err(|_| AccountNameError(other.chars().take(64).collect())),
        }
    }
}
