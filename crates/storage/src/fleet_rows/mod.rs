//! The fleet as people look through it: filtered, in an order, page by page, and counted.
//!
//! A device is here that ever sent a heartbeat or is registered. Promises: a page begins right
//! after the row that the one before ended with, whatever came or went meanwhile.

mod ask;

use std::collections::BTreeMap;

use protocol::{DeviceId, TenantId, UnixMillis};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::labels::EFFECTIVE;
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

pub use ask::{FleetPosition, FleetQuery, FleetSort, FleetState, UnknownWord};

/// A clock that is further off than this needs somebody's attention.
const CLOCK_OFF_MS: i64 = 5_000;

/// A device and where it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FleetRow {
    /// Whose it is.
    #[schema(value_type = Uuid)]
    pub tenant: TenantId,
    /// What people call its tenant; none where nobody added it.
    pub tenant_name: Option<String>,
    /// Which device.
    #[schema(value_type = Uuid)]
    pub device: DeviceId,
    /// What people call it; may be empty.
    pub name: String,
    /// What it calls itself.
    pub hostname: Option<String>,
    /// What it runs on.
    pub platform: Option<String>,
    /// Whether its heartbeats arrive.
    pub online: bool,
    /// When that last changed, in milliseconds since 1970; none: it was never heard of.
    #[schema(value_type = Option<i64>)]
    pub last_online_change: Option<UnixMillis>,
    /// When the broker took its newest heartbeat, in milliseconds since 1970.
    #[schema(value_type = Option<i64>)]
    pub last_heartbeat: Option<UnixMillis>,
    /// The device's clock minus the broker's, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Version of its agent.
    pub agent_version: Option<String>,
    /// Run of its agent.
    pub session: Option<String>,
    /// Its labels; those of operators win over those that it reports.
    pub labels: BTreeMap<String, String>,
    /// Whether an operator registered it, or it enrolled.
    pub registered: bool,
    /// Whether its credentials are refused.
    pub revoked: bool,
    /// When its newest credential ends, in milliseconds since 1970.
    #[schema(value_type = Option<i64>)]
    pub credential_expires_at: Option<UnixMillis>,
    /// What it was ordered by.
    #[serde(skip)]
    key: String,
}

/// Devices by how they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FleetTotals {
    /// That ever sent a heartbeat.
    pub devices: i64,
    /// Whose heartbeats arrive.
    pub online: i64,
    /// Whose heartbeats do not arrive.
    pub offline: i64,
    /// Registered and never heard of.
    pub unseen: i64,
    /// Whose credentials are refused.
    pub revoked: i64,
    /// Online with a clock that is off by more than 5 s.
    pub clock_off: i64,
}

impl FleetRow {
    /// Where a page ends that ends with this row.
    #[must_use]
    pub fn position(&self) -> FleetPosition {
        FleetPosition { key: self.key.clone(), tenant: self.tenant, device: self.device }
    }
}

/// Every device once, as a table `fleet`; of one tenant where `$1` is one.
fn fleet() -> String {
    format!(
        "
with seen as (
    select coalesce(c.tenant_uuid, d.tenant_uuid) as tenant_uuid,
           coalesce(c.device_uuid, d.device_uuid) as device_uuid,
           coalesce(d.name, '') as name,
           c.connection_info #>> '{{system_info,hostname}}' as hostname,
           c.connection_info #>> '{{system_info,platform}}' as platform,
           coalesce(c.is_online, false) as is_online,
           c.last_online_change, c.last_heartbeat, c.clock_offset_ms, c.agent_version, c.session_id,
           {EFFECTIVE} as labels, d.device_uuid is not null as registered,
           coalesce(d.state = 'revoked', false) as revoked, d.expires_at, c.connection_info
    from device_connectivity c
    full join devices d on d.device_uuid = c.device_uuid and d.tenant_uuid = c.tenant_uuid
), fleet as (
    select seen.*, t.name as tenant_name,
           case when revoked then 'revoked' when last_heartbeat is null then 'unseen'
                when is_online then 'online' else 'offline' end as state
    from seen left join tenants t on t.tenant_uuid = seen.tenant_uuid
    where $1::uuid is null or seen.tenant_uuid = $1
)"
    )
}

const COLUMNS: &str = "
tenant_uuid, tenant_name, device_uuid, name, hostname, platform, is_online,
       floor(extract(epoch from last_online_change) * 1000)::bigint,
       floor(extract(epoch from last_heartbeat) * 1000)::bigint,
       clock_offset_ms, agent_version, session_id, labels, registered, revoked,
       floor(extract(epoch from expires_at) * 1000)::bigint";

fn page(sort: FleetSort, descending: bool) -> String {
    let (fleet, key) = (fleet(), sort.key());
    let (compared, way) = if descending { ("<", "desc") } else { (">", "asc") };
    format!(
        "{fleet}, keyed as (select fleet.*, ({key}) collate \"C\" as key from fleet)
select {COLUMNS}, key
from keyed
where ($2::jsonb = '{{}}' or labels @> $2)
  and case when $3::text is null then last_heartbeat is not null or cardinality($5::uuid[]) > 0
           else state = $3 end
  and ($4::text is null or strpos(lower(concat_ws(E'\\n', name, device_uuid, hostname,
                                                  agent_version, labels)), lower($4)) > 0)
  and (cardinality($5::uuid[]) = 0 or device_uuid = any($5))
  and ($6::text is null
       or (key, tenant_uuid, device_uuid) {compared} ($6 collate \"C\", $7::uuid, $8::uuid))
order by key {way}, tenant_uuid {way}, device_uuid {way}
limit $9"
    )
}

fn one() -> String {
    format!(
        "{}
select {COLUMNS}, '', connection_info from fleet where device_uuid = $2 limit 2",
        fleet()
    )
}

fn totals() -> String {
    format!(
        "{}
select count(*) filter (where last_heartbeat is not null),
       count(*) filter (where state = 'online'),
       count(*) filter (where state = 'offline'),
       count(*) filter (where state = 'unseen'),
       count(*) filter (where state = 'revoked'),
       count(*) filter (where state = 'online' and abs(clock_offset_ms) > {CLOCK_OFF_MS})
from fleet",
        fleet()
    )
}

impl Records {
    /// A page of the fleet.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn fleet(&self, query: &FleetQuery<'_>) -> Result<Vec<FleetRow>, Unavailable> {
        let connection = self.connection().await?;
        let tenant = query.tenant.map(|tenant| tenant.as_uuid());
        let devices: Vec<Uuid> = query.devices.iter().map(|device| device.as_uuid()).collect();
        let (labels, state) = (Json(query.labels), query.state.map(FleetState::as_str));
        let after_key = query.after.map(|after| after.key.as_str());
        let after_tenant = query.after.map(|after| after.tenant.as_uuid());
        let after_device = query.after.map(|after| after.device.as_uuid());
        let limit = i64::from(query.limit);
        let values: [&(dyn ToSql + Sync); 9] = [
            &tenant,
            &labels,
            &state,
            &query.text,
            &devices,
            &after_key,
            &after_tenant,
            &after_device,
            &limit,
        ];
        let sql = page(query.sort, query.descending);
        let rows = self.bounded(connection.query(&sql, &values)).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }

    /// A device with what else its newest heartbeat said; two where two tenants report one of the
    /// same id.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn fleet_device(
        &self,
        device: DeviceId,
    ) -> Result<Vec<(FleetRow, Option<Value>)>, Unavailable> {
        let connection = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 2] = [&None::<Uuid>, &device.as_uuid()];
        let rows = self.bounded(connection.query(&one(), &values)).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        let info = |row: &Row| row.get::<_, Option<Json<Value>>>(17).map(|Json(info)| info);
        Ok(rows.iter().map(|row| (read(row), info(row))).collect())
    }

    /// How many devices are in which state, of one tenant or all.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn fleet_totals(&self, tenant: Option<TenantId>) -> Result<FleetTotals, Unavailable> {
        let connection = self.connection().await?;
        let tenant = tenant.map(|tenant| tenant.as_uuid());
        let row = self.bounded(connection.query_one(&totals(), &[&tenant])).await?;
        let row = row.map_err(|error| unavailable(&error))?;
        Ok(FleetTotals {
            devices: row.get(0),
            online: row.get(1),
            offline: row.get(2),
            unseen: row.get(3),
            revoked: row.get(4),
            clock_off: row.get(5),
        })
    }
}

fn read(row: &Row) -> FleetRow {
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(UnixMillis::new);
    FleetRow {
        tenant: TenantId::new(row.get(0)),
        tenant_name: row.get(1),
        device: DeviceId::new(row.get(2)),
        name: row.get(3),
        hostname: row.get(4),
        platform: row.get(5),
        online: row.get(6),
        last_online_change: time(7),
        last_heartbeat: time(8),
        clock_offset_ms: row.get(9),
        agent_version: row.get(10),
        session: row.get(11),
        labels: row.get::<_, Json<_>>(12).0,
        registered: row.get(13),
        revoked: row.get(14),
        credential_expires_at: time(15),
        key: row.get(16),
    }
}
