//! Devices in the registry.

use protocol::{DeviceId, TenantId, UnixMillis};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};

use super::{DeviceState, RegistryError, TenantState, failed, is_unknown_tenant};
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// A device that is to be registered.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub device: DeviceId,
    /// Its name for people; empty leaves the name that is there.
    pub name: &'a str,
    /// Its role at the broker: `device` or `device-first-generation`.
    pub role: &'a str,
}

/// Which devices to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceFilter {
    /// Of this tenant only.
    pub tenant: Option<TenantId>,
    /// In this state only.
    pub state: Option<DeviceState>,
}

/// A device as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryDevice {
    /// Which.
    pub device: DeviceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name for people; may be empty.
    pub name: String,
    /// Its role at the broker.
    pub role: String,
    /// Whether it may use the broker.
    pub state: DeviceState,
    /// Whether its tenant may.
    pub tenant_state: TenantState,
    /// Public user key of its newest credential; none before the first.
    pub public_key: Option<String>,
    /// From when that is, in milliseconds since 1970.
    pub issued_at: Option<UnixMillis>,
    /// Until when, in milliseconds since 1970; none: without an end.
    pub expires_at: Option<UnixMillis>,
    /// Labels that operators set.
    pub labels: Value,
    /// When it was registered, in milliseconds since 1970.
    pub created_at: UnixMillis,
}

// The update touches nothing, so that the row is returned and locked whoever made it.
const REGISTER: &str = "
insert into devices as d (device_uuid, tenant_uuid, name, role) values ($1, $2, $3, $4)
on conflict (device_uuid) do update set
       name = case when d.tenant_uuid = excluded.tenant_uuid and excluded.name <> ''
                   then excluded.name else d.name end,
       role = case when d.tenant_uuid = excluded.tenant_uuid
                   then excluded.role else d.role end
returning d.tenant_uuid, d.state";

const SET_STATE: &str = "
update devices set state = $3, changed_at = clock_timestamp()
where device_uuid = $1 and tenant_uuid = $2 and state <> $3";

const SELECT: &str = "
select d.device_uuid, d.tenant_uuid, d.name, d.role, d.state, t.state, d.public_key,
       floor(extract(epoch from d.issued_at) * 1000)::bigint,
       floor(extract(epoch from d.expires_at) * 1000)::bigint,
       d.labels,
       floor(extract(epoch from d.created_at) * 1000)::bigint
from devices d join tenants t using (tenant_uuid)
where ($1::uuid is null or d.device_uuid = $1)
  and ($2::uuid is null or d.tenant_uuid = $2)
  and ($3::text is null or d.state = $3)
order by d.tenant_uuid, d.device_uuid
limit $4";

impl Records {
    /// Registers a device with a tenant; once more for the same tenant changes name and role and
    /// nothing else. A revoked device stays revoked.
    ///
    /// # Errors
    /// The device is another tenant's or revoked, the tenant is unknown, or Postgres is away, ill
    /// or not migrated.
    pub async fn register_device(&self, wanted: Registration<'_>) -> Result<(), RegistryError> {
        let connection = self.connection().await?;
        let (device, tenant) = (wanted.device.as_uuid(), wanted.tenant.as_uuid());

        let values: [&(dyn ToSql + Sync); 4] = [&device, &tenant, &wanted.name, &wanted.role];
        let row = match self.bounded(connection.query_one(REGISTER, &values)).await? {
            Ok(row) => row,
            Err(error) if is_unknown_tenant(&error) => {
                return Err(RegistryError::UnknownTenant(wanted.tenant));
            }
            Err(error) => return Err(failed(&error)),
        };
        let owner = TenantId::new(row.get(0));
        if owner != wanted.tenant {
            return Err(RegistryError::OtherTenant { device: wanted.device, owner });
        }
        match DeviceState::read(row.get(1)) {
            DeviceState::Active => Ok(()),
            DeviceState::Revoked => Err(RegistryError::Revoked(wanted.device)),
        }
    }

    /// Notes that a device is revoked or active again; `false`: it was so already.
    ///
    /// # Errors
    /// [`RegistryError::UnknownDevice`], or Postgres is away, ill or not migrated.
    pub async fn set_device_state(
        &self,
        tenant: TenantId,
        device: DeviceId,
        state: DeviceState,
    ) -> Result<bool, RegistryError> {
        let connection = self.connection().await?;
        let (id, owner, text) = (device.as_uuid(), tenant.as_uuid(), state.as_str());
        let changed = self.bounded(connection.execute(SET_STATE, &[&id, &owner, &text])).await?;
        if changed.map_err(|error| failed(&error))? == 1 {
            return Ok(true);
        }
        match self.registered_device(device).await?.filter(|found| found.tenant == tenant) {
            Some(_) => Ok(false),
            None => Err(RegistryError::UnknownDevice { tenant, device }),
        }
    }

    /// One device, or `None` where nobody registered it.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn registered_device(
        &self,
        device: DeviceId,
    ) -> Result<Option<RegistryDevice>, Unavailable> {
        Ok(self.read_devices(Some(device), DeviceFilter::default(), 1).await?.pop())
    }

    /// Registered devices by tenant and UUID, at most `limit`.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn registered_devices(
        &self,
        filter: DeviceFilter,
        limit: u32,
    ) -> Result<Vec<RegistryDevice>, Unavailable> {
        self.read_devices(None, filter, limit).await
    }

    async fn read_devices(
        &self,
        device: Option<DeviceId>,
        filter: DeviceFilter,
        limit: u32,
    ) -> Result<Vec<RegistryDevice>, Unavailable> {
        let connection = self.connection().await?;
        let device = device.map(|device| device.as_uuid());
        let tenant = filter.tenant.map(|tenant| tenant.as_uuid());
        let (state, limit) = (filter.state.map(DeviceState::as_str), i64::from(limit));
        let values: [&(dyn ToSql + Sync); 4] = [&device, &tenant, &state, &limit];
        let rows = self.bounded(connection.query(SELECT, &values)).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }
}

fn read(row: &Row) -> RegistryDevice {
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(UnixMillis::new);
    RegistryDevice {
        device: DeviceId::new(row.get(0)),
        tenant: TenantId::new(row.get(1)),
        name: row.get(2),
        role: row.get(3),
        state: DeviceState::read(row.get(4)),
        tenant_state: TenantState::read(row.get(5)),
        public_key: row.get(6),
        issued_at: time(7),
        expires_at: time(8),
        labels: row.get::<_, Json<Value>>(9).0,
        created_at: UnixMillis::new(row.get(10)),
    }
}
