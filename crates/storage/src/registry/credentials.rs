//! Credentials of devices: every public key that was ever given out, until its device is removed.

use protocol::{DeviceId, TenantId, UnixMillis};
use serde::Serialize;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;

use super::{DeviceState, RegistryError, failed};
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// A credential that is about to be handed out.
#[derive(Clone, Copy, Debug)]
pub struct Credential<'a> {
    /// The device's public user key.
    pub public_key: &'a str,
    /// From when, in milliseconds since 1970.
    pub issued_at: UnixMillis,
    /// Until when, in milliseconds since 1970; `None`: without an end.
    pub expires_at: Option<UnixMillis>,
}

/// A credential that was handed out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NotedCredential {
    /// The device's public user key.
    pub public_key: String,
    /// From when, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub issued_at: UnixMillis,
    /// Until when, in milliseconds since 1970; none: without an end.
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<UnixMillis>,
    /// When it was revoked, in milliseconds since 1970; none: it was not.
    #[schema(value_type = Option<i64>)]
    pub revoked_at: Option<UnixMillis>,
}

// The tenant's row is locked, so that a suspension under way is waited for.
const NOTE: &str = "
with allowed as (
    update devices set public_key = $3,
           issued_at = to_timestamp($4::bigint / 1000.0),
           expires_at = to_timestamp($5::bigint / 1000.0),
           changed_at = clock_timestamp()
    where device_uuid = $1 and tenant_uuid = $2 and state = 'active'
      and exists (select from tenants where tenant_uuid = $2 and state = 'active' for share)
    returning device_uuid, tenant_uuid, public_key, issued_at, expires_at
)
insert into device_credentials (device_uuid, tenant_uuid, public_key, issued_at, expires_at)
select device_uuid, tenant_uuid, public_key, issued_at, expires_at from allowed
on conflict (public_key) do update
   set issued_at = excluded.issued_at, expires_at = excluded.expires_at
 where device_credentials.device_uuid = excluded.device_uuid";

const SELECT: &str = "
select public_key,
       floor(extract(epoch from issued_at) * 1000)::bigint,
       floor(extract(epoch from expires_at) * 1000)::bigint,
       floor(extract(epoch from revoked_at) * 1000)::bigint
from device_credentials
where device_uuid = $1
order by issued_at desc, public_key";

const REVOKED: &str = "
update device_credentials set revoked_at = clock_timestamp()
where device_uuid = $1 and public_key = any($2) and revoked_at is null";

impl Records {
    /// Notes a credential before it is handed out. Nothing is noted, and none may be handed out,
    /// where this fails.
    ///
    /// # Errors
    /// Device or tenant is unknown, revoked or suspended, or Postgres is away, ill or not migrated.
    pub async fn note_credential(
        &self,
        tenant: TenantId,
        device: DeviceId,
        credential: Credential<'_>,
    ) -> Result<(), RegistryError> {
        let connection = self.connection().await?;
        let expires = credential.expires_at.map(|at| at.get());
        let (id, owner, issued) = (device.as_uuid(), tenant.as_uuid(), credential.issued_at.get());
        let values: [&(dyn ToSql + Sync); 5] =
            [&id, &owner, &credential.public_key, &issued, &expires];
        let noted = self.bounded(connection.execute(NOTE, &values)).await?;
        if noted.map_err(|error| failed(&error))? == 1 {
            return Ok(());
        }
        let found = self.registered_device(device).await?;
        match found.filter(|found| found.tenant == tenant) {
            None => Err(RegistryError::UnknownDevice { tenant, device }),
            Some(found) if found.state == DeviceState::Revoked => {
                Err(RegistryError::Revoked(device))
            }
            Some(_) => Err(RegistryError::Suspended(tenant)),
        }
    }

    /// Every credential that a device was given, the newest first.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn credentials(&self, device: DeviceId) -> Result<Vec<NotedCredential>, Unavailable> {
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(SELECT, &[&device.as_uuid()])).await?;
        let read = |row: &tokio_postgres::Row| {
            let time = |column| row.get::<_, Option<i64>>(column).map(UnixMillis::new);
            NotedCredential {
                public_key: row.get(0),
                issued_at: UnixMillis::new(row.get(1)),
                expires_at: time(2),
                revoked_at: time(3),
            }
        };
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }

    /// Notes that the broker refuses these keys of a device.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn note_revoked(
        &self,
        device: DeviceId,
        public_keys: &[String],
    ) -> Result<(), Unavailable> {
        let connection = self.connection().await?;
        let (id, keys) = (device.as_uuid(), public_keys);
        let noted = self.bounded(connection.execute(REVOKED, &[&id, &keys])).await?;
        noted.map(drop).map_err(|error| unavailable(&error))
    }
}
