//! The registry: which tenants and devices there are by the operators' decision.
//!
//! Promises: a device belongs to one tenant for good, whoever registers it at the same time; a
//! credential is noted only for an active device of an active tenant, in one statement, so that
//! nobody who was revoked or suspended meanwhile gets one. Note a credential *before* it leaves the
//! house: what is not noted cannot be revoked. Refuses to know what devices report; that stands in
//! `device_connectivity`.

mod credentials;
mod devices;
mod tenants;

use protocol::{DeviceId, TenantId};
use serde::Serialize;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;
use utoipa::ToSchema;

use crate::outcome::Unavailable;
use crate::sql_error::unavailable;

pub use credentials::{Credential, NotedCredential};
pub use devices::{DeviceFilter, Registration, RegistryDevice};
pub use tenants::{AppliedTenant, RegistryTenant, TenantLimits};

/// Whether a tenant may use the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TenantState {
    /// It may.
    Active,
    /// Its connections are refused until it is resumed.
    Suspended,
}

/// Whether a device may use the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// It may.
    Active,
    /// Its credentials are refused; it gets new ones by `wegweiser device rotate` alone.
    Revoked,
}

/// Why the registry was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Postgres is away, ill or not migrated.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Nobody added that tenant.
    #[error("tenant {0} is not registered; run: wegweiser tenant add")]
    UnknownTenant(TenantId),
    /// Nobody registered that device with that tenant.
    #[error(
        "device {device} of tenant {tenant} is not registered; \
         run: wegweiser device list, or wegweiser device add"
    )]
    UnknownDevice {
        /// Whose it should be.
        tenant: TenantId,
        /// Which.
        device: DeviceId,
    },
    /// A device's UUID names its commands at the broker, so no two tenants may have the same.
    #[error(
        "device {device} is registered with tenant {owner}; \
         give another device UUID, or none for a new one"
    )]
    OtherTenant {
        /// Which.
        device: DeviceId,
        /// Whose it is.
        owner: TenantId,
    },
    /// It was revoked.
    #[error("device {0} is revoked; to let it in again run: wegweiser device rotate")]
    Revoked(DeviceId),
    /// Its tenant is suspended.
    #[error("tenant {0} is suspended; to let it in again run: wegweiser tenant resume")]
    Suspended(TenantId),
}

impl TenantState {
    /// As the table has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    fn read(text: &str) -> Self {
        // The table's check knows no third.
        if text == "active" { Self::Active } else { Self::Suspended }
    }
}

impl DeviceState {
    /// As the table has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    fn read(text: &str) -> Self {
        // The table's check knows no third.
        if text == "active" { Self::Active } else { Self::Revoked }
    }
}

pub(crate) fn failed(error: &Error) -> RegistryError {
    RegistryError::Unavailable(unavailable(error))
}

pub(crate) fn is_unknown_tenant(error: &Error) -> bool {
    error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION)
}
