//! Which devices a command can go to.

use protocol::{DeviceId, Labels, TenantId};
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use crate::labels::EFFECTIVE;
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Which devices are meant; what is not given does not matter.
#[derive(Clone, Debug, Default)]
pub struct TargetFilter {
    /// Of this tenant only.
    pub tenant: Option<TenantId>,
    /// These only.
    pub devices: Option<Vec<DeviceId>>,
    /// With all of these labels only.
    pub labels: Labels,
}

/// A device that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandTarget {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub device: DeviceId,
    /// Whether it hears commands by subscription, unsigned.
    pub first_generation: bool,
    /// Whether operators let such commands go to its tenant.
    pub first_generation_allowed: bool,
    /// Whether it and its tenant may use the broker.
    pub may_connect: bool,
    /// Whether its heartbeats arrive.
    pub online: bool,
}

/// Registered devices, and those that only their heartbeats tell of. One that is registered belongs
/// to its tenant, whoever else reports its id.
fn select() -> String {
    format!(
        "
select coalesce(d.tenant_uuid, c.tenant_uuid), coalesce(d.device_uuid, c.device_uuid),
       coalesce(d.role = 'device-first-generation', false),
       coalesce(t.first_generation_commands, false),
       coalesce(d.state = 'active', true) and coalesce(t.state = 'active', true),
       coalesce(c.is_online, false)
from devices d
full join device_connectivity c on c.device_uuid = d.device_uuid and c.tenant_uuid = d.tenant_uuid
left join tenants t on t.tenant_uuid = coalesce(d.tenant_uuid, c.tenant_uuid)
where (d.device_uuid is not null
       or not exists (select from devices o where o.device_uuid = c.device_uuid))
  and ($1::uuid is null or coalesce(d.tenant_uuid, c.tenant_uuid) = $1)
  and ($2::uuid[] is null or coalesce(d.device_uuid, c.device_uuid) = any($2))
  and ($3::jsonb = '{{}}' or {EFFECTIVE} @> $3)
order by 1, 2
limit $4"
    )
}

impl Records {
    /// Devices that are meant, by tenant and device, at most `limit`; also those that may not
    /// connect, so that the caller can tell of them.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn command_targets(
        &self,
        filter: &TargetFilter,
        limit: u32,
    ) -> Result<Vec<CommandTarget>, Unavailable> {
        let tenant = filter.tenant.map(|tenant| tenant.as_uuid());
        let devices = filter.devices.as_ref();
        let devices: Option<Vec<Uuid>> =
            devices.map(|devices| devices.iter().map(DeviceId::as_uuid).collect());
        let (labels, limit) = (Json(&filter.labels), i64::from(limit));
        let values: [&(dyn ToSql + Sync); 4] = [&tenant, &devices, &labels, &limit];
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(&select(), &values)).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }
}

fn read(row: &Row) -> CommandTarget {
    CommandTarget {
        tenant: TenantId::new(row.get(0)),
        device: DeviceId::new(row.get(1)),
        first_generation: row.get(2),
        first_generation_allowed: row.get(3),
        may_connect: row.get(4),
        online: row.get(5),
    }
}
