//! What agent and web service say to each other when a device gets and renews its credentials.
//!
//! Promises: no seed is in any of these; a token prints nothing. Keys are nkeys as text, which
//! whoever reads them checks.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, TenantId, UnixMillis};

/// Asks for a device's first credentials: the body of `POST /v1/enroll`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrollRequest {
    /// What admits the device; a secret.
    pub token: String,
    /// Public half of the key pair that the device made: a user nkey.
    pub public_key: String,
    /// The device's name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Labels that the device is registered with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What a device that was admitted needs from then on.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrollAnswer {
    /// Whose it is.
    pub tenant: TenantId,
    /// Who it is.
    pub device: DeviceId,
    /// Its user JWT; of use only to whoever has the key pair.
    pub jwt: String,
    /// Until when that is good, in milliseconds since 1970.
    pub expires_at: UnixMillis,
    /// The broker's URLs, commas between.
    pub servers: String,
    /// The authority of the broker's certificate as PEM; absent: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Public keys that sign commands to the device, newest first.
    #[serde(default)]
    pub command_keys: Vec<String>,
}

/// Asks for a new JWT, over the device's own connection, which says who asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// The public key of the device's credentials.
    pub public_key: String,
}

/// The answer to that.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenewAnswer {
    /// A new JWT for the same key pair.
    Renewed {
        /// The user JWT.
        jwt: String,
        /// Until when it is good, in milliseconds since 1970.
        expires_at: UnixMillis,
    },
    /// None, and why, with the remedy.
    Refused(String),
    /// None now; the same question may be answered later.
    NotNow(String),
}

impl fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollRequest")
            .field("public_key", &self.public_key)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EnrollAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollAnswer")
            .field("tenant", &self.tenant)
            .field("device", &self.device)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RenewAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renewed { expires_at, .. } => write!(f, "Renewed until {expires_at:?}"),
            Self::Refused(why) => write!(f, "Refused: {why}"),
            Self::NotNow(why) => write!(f, "NotNow: {why}"),
        }
    }
}
