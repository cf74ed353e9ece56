//! Enrolment: tokens that admit devices, and the credentials that devices are given and renew.
//!
//! Promises: the table holds no token but its hash; one use of a token, the device's registration,
//! its credential and the line in the audit log are one transaction, so that of several devices
//! racing for the last use one wins; the same public key again is a retry and takes no second use.
//! Refuses: a token that is unknown, over, revoked or used up, without telling which; a device that
//! was revoked or given another key; a tenant that is suspended.

mod tokens;

use protocol::{DeviceId, Labels, TenantId, UnixMillis};
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::secret_token::EnrollToken;
use crate::sql_error::unavailable;

pub use tokens::{EnrollTokenRow, NewEnrollToken};

/// A device that asks to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct Enrolment<'a> {
    /// The public user key that it made.
    pub public_key: &'a str,
    /// Its name for people; may be empty.
    pub name: &'a str,
    /// Labels that it is registered with.
    pub labels: &'a Labels,
    /// Where it asks from, for the audit log.
    pub source: &'a str,
    /// From when its credential is, in milliseconds since 1970.
    pub issued_at: UnixMillis,
    /// Until when, in milliseconds since 1970.
    pub expires_at: UnixMillis,
}

/// A device that was admitted; its credential is noted and may leave the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which; new, or that of the first try.
    pub device: DeviceId,
}

/// A device that renews its credential.
#[derive(Clone, Copy, Debug)]
pub struct Renewal<'a> {
    /// Whose it is, as the broker says.
    pub tenant: TenantId,
    /// Which, as the broker says.
    pub device: DeviceId,
    /// The public user key that the new credential is for.
    pub public_key: &'a str,
    /// From when it is, in milliseconds since 1970.
    pub issued_at: UnixMillis,
    /// Until when, in milliseconds since 1970.
    pub expires_at: UnixMillis,
}

/// Why a device gets no credential. The texts are for whoever runs the device.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// Postgres is away, ill or not migrated.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Unknown, over, revoked or used up; which, is not for an outsider to learn.
    #[error(
        "the enrolment token is not accepted; ask your operator for a new one \
         (wegweiser enroll-token create)"
    )]
    Token,
    /// The tenant may not use the broker now.
    #[error("the tenant is suspended; ask your operator (wegweiser tenant resume)")]
    Suspended,
    /// The device may not use the broker.
    #[error("the device is revoked; ask your operator for a new enrolment token")]
    Revoked,
    /// The device has another key since, or was revoked after it was enrolled.
    #[error(
        "the device was revoked or given another key meanwhile; \
         ask your operator for a new enrolment token"
    )]
    Replaced,
    /// Nobody registered that device with that tenant.
    #[error("the device is not registered; ask your operator for an enrolment token")]
    Unknown,
}

const ENROLL: &str =
    "select outcome, tenant, device from wegweiser_enroll($1, $2, $3, $4, $5, $6, $7, $8)";
const RENEW: &str = "select wegweiser_renew($1, $2, $3, $4, $5)";

impl Records {
    /// Takes one use of `token` and registers the device with a credential from then on.
    ///
    /// # Errors
    /// The token is not accepted, the tenant is suspended, the device was revoked meanwhile, or
    /// Postgres is away, ill or not migrated.
    pub async fn enroll(
        &self,
        token: &EnrollToken,
        wanted: Enrolment<'_>,
    ) -> Result<Enrolled, EnrolmentError> {
        let connection = self.connection().await?;
        let (hash, fresh, labels) = (token.hash(), Uuid::now_v7(), Json(wanted.labels));
        let (issued, expires) = (wanted.issued_at.get(), wanted.expires_at.get());
        let values: [&(dyn ToSql + Sync); 8] = [
            &hash,
            &wanted.public_key,
            &fresh,
            &wanted.name,
            &labels,
            &wanted.source,
            &issued,
            &expires,
        ];
        let row = self.bounded(connection.query_one(ENROLL, &values)).await?;
        let row = row.map_err(|error| unavailable(&error))?;
        let ids: (Option<Uuid>, Option<Uuid>) = (row.get(1), row.get(2));
        match (row.get(0), ids) {
            ("done", (Some(tenant), Some(device))) => {
                Ok(Enrolled { tenant: TenantId::new(tenant), device: DeviceId::new(device) })
            }
            (other, _) => Err(refusal(other)),
        }
    }

    /// Notes a renewed credential before it is handed out.
    ///
    /// # Errors
    /// The device is unknown, revoked or has another key, its tenant is suspended, or Postgres is
    /// away, ill or not migrated.
    pub async fn renew(&self, wanted: Renewal<'_>) -> Result<(), EnrolmentError> {
        let connection = self.connection().await?;
        let (tenant, device) = (wanted.tenant.as_uuid(), wanted.device.as_uuid());
        let (issued, expires) = (wanted.issued_at.get(), wanted.expires_at.get());
        let values: [&(dyn ToSql + Sync); 5] =
            [&tenant, &device, &wanted.public_key, &issued, &expires];
        let row = self.bounded(connection.query_one(RENEW, &values)).await?;
        match row.map_err(|error| unavailable(&error))?.get(0) {
            "done" => Ok(()),
            other => Err(refusal(other)),
        }
    }
}

/// The functions' words.
fn refusal(outcome: &str) -> EnrolmentError {
    match outcome {
        "token" => EnrolmentError::Token,
        "suspended" => EnrolmentError::Suspended,
        "revoked" => EnrolmentError::Revoked,
        "replaced" => EnrolmentError::Replaced,
        _ => EnrolmentError::Unknown,
    }
}
