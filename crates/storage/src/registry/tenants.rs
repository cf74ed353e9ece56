//! Tenants in the registry.

use protocol::{TenantId, UnixMillis};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;

use super::{RegistryError, TenantState, failed};
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// A tenant as operators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RegistryTenant {
    /// Which.
    #[schema(value_type = Uuid)]
    pub tenant: TenantId,
    /// Its name for people.
    pub name: String,
    /// Whether it may use the broker.
    pub state: TenantState,
    /// Devices registered with it that are not revoked.
    pub devices: i64,
    /// Devices whose heartbeats arrive.
    pub online: i64,
    /// Whether commands may go to its agents of the first generation, which check no signature.
    pub first_generation_commands: bool,
    /// What the broker lets it use; none: not told yet, `wegweiser accounts apply` tells it.
    pub limits: Option<TenantLimits>,
    /// When it was added, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    /// When its name, state or limits last changed, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub changed_at: UnixMillis,
}

/// What the broker lets a tenant use, as its account was last given it; -1: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TenantLimits {
    /// Connections at once, at all servers together.
    pub conn: i64,
    /// Bytes a message.
    pub payload: i64,
    /// Subscriptions a connection.
    pub subs: i64,
}

/// A tenant as its account at the broker stands.
#[derive(Clone, Copy, Debug)]
pub struct AppliedTenant<'a> {
    /// Which.
    pub tenant: TenantId,
    /// Its name for people.
    pub name: &'a str,
    /// What its account lets it use.
    pub limits: TenantLimits,
}

const ENSURE: &str = "
insert into tenants (tenant_uuid, name) values ($1, $2)
on conflict (tenant_uuid) do update set name = excluded.name, changed_at = clock_timestamp()
  where tenants.name <> excluded.name";

const NOTE: &str = "
insert into tenants as t
  (tenant_uuid, name, connections_max, payload_max_bytes, subscriptions_max)
select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
on conflict (tenant_uuid) do update
set name = excluded.name, connections_max = excluded.connections_max,
    payload_max_bytes = excluded.payload_max_bytes,
    subscriptions_max = excluded.subscriptions_max, changed_at = clock_timestamp()
where (t.name, t.connections_max, t.payload_max_bytes, t.subscriptions_max) is distinct from
  (excluded.name, excluded.connections_max, excluded.payload_max_bytes, excluded.subscriptions_max)";

const LIST: &str = "
select t.tenant_uuid, t.name, t.state,
       (select count(*) from devices d
        where d.tenant_uuid = t.tenant_uuid and d.state = 'active'),
       (select count(*) from device_connectivity c
        where c.tenant_uuid = t.tenant_uuid and c.is_online),
       floor(extract(epoch from t.created_at) * 1000)::bigint,
       floor(extract(epoch from t.changed_at) * 1000)::bigint,
       t.first_generation_commands,
       t.connections_max, t.payload_max_bytes, t.subscriptions_max
from tenants t
where $1::uuid is null or t.tenant_uuid = $1
order by t.tenant_uuid";

const SET_STATE: &str = "
update tenants set state = $2, changed_at = clock_timestamp()
where tenant_uuid = $1 and state <> $2";

const ALLOW_FIRST_GENERATION: &str = "
update tenants set first_generation_commands = $2, changed_at = clock_timestamp()
where tenant_uuid = $1";

impl Records {
    /// Lets commands go to a tenant's agents of the first generation, or no longer.
    ///
    /// # Errors
    /// [`RegistryError::UnknownTenant`], or Postgres is away, ill or not migrated.
    pub async fn allow_first_generation_commands(
        &self,
        tenant: TenantId,
        allow: bool,
    ) -> Result<(), RegistryError> {
        let connection = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 2] = [&tenant.as_uuid(), &allow];
        let changed = self.bounded(connection.execute(ALLOW_FIRST_GENERATION, &values)).await?;
        match changed.map_err(|error| failed(&error))? {
            0 => Err(RegistryError::UnknownTenant(tenant)),
            _ => Ok(()),
        }
    }

    /// Adds a tenant, or gives one that is there this name. Its state stays. Call it for a tenant
    /// that is declared by its file alone, too: it gets its row when it is first needed.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn ensure_tenant(&self, tenant: TenantId, name: &str) -> Result<(), Unavailable> {
        let connection = self.connection().await?;
        let ensured = self.bounded(connection.execute(ENSURE, &[&tenant.as_uuid(), &name])).await?;
        ensured.map(drop).map_err(|error| unavailable(&error))
    }

    /// Notes what tenants' accounts at the broker are, and adds those that are not there yet. Their
    /// state stays.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn note_applied_tenants(
        &self,
        applied: &[AppliedTenant<'_>],
    ) -> Result<(), Unavailable> {
        let ids: Vec<_> = applied.iter().map(|one| one.tenant.as_uuid()).collect();
        let names: Vec<&str> = applied.iter().map(|one| one.name).collect();
        let limit = |of: fn(&TenantLimits) -> i64| -> Vec<i64> {
            applied.iter().map(|one| of(&one.limits)).collect()
        };
        let conn = limit(|limits| limits.conn);
        let payload = limit(|limits| limits.payload);
        let subs = limit(|limits| limits.subs);
        let values: [&(dyn ToSql + Sync); 5] = [&ids, &names, &conn, &payload, &subs];
        let connection = self.connection().await?;
        let noted = self.bounded(connection.execute(NOTE, &values)).await?;
        noted.map(drop).map_err(|error| unavailable(&error))
    }

    /// Every tenant, by UUID.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn tenants(&self) -> Result<Vec<RegistryTenant>, Unavailable> {
        self.read_tenants(None).await
    }

    /// One tenant, or `None` where nobody added it.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn tenant(&self, tenant: TenantId) -> Result<Option<RegistryTenant>, Unavailable> {
        Ok(self.read_tenants(Some(tenant)).await?.pop())
    }

    /// Notes that a tenant is suspended or active again; `false`: it was so already.
    ///
    /// # Errors
    /// [`RegistryError::UnknownTenant`], or Postgres is away, ill or not migrated.
    pub async fn set_tenant_state(
        &self,
        tenant: TenantId,
        state: TenantState,
    ) -> Result<bool, RegistryError> {
        let connection = self.connection().await?;
        let (id, text) = (tenant.as_uuid(), state.as_str());
        let changed = self.bounded(connection.execute(SET_STATE, &[&id, &text])).await?;
        if changed.map_err(|error| failed(&error))? == 1 {
            return Ok(true);
        }
        match self.tenant(tenant).await? {
            Some(_) => Ok(false),
            None => Err(RegistryError::UnknownTenant(tenant)),
        }
    }

    async fn read_tenants(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<Vec<RegistryTenant>, Unavailable> {
        let connection = self.connection().await?;
        let id = tenant.map(|tenant| tenant.as_uuid());
        let rows = self.bounded(connection.query(LIST, &[&id])).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }
}

fn read(row: &Row) -> RegistryTenant {
    RegistryTenant {
        tenant: TenantId::new(row.get(0)),
        name: row.get(1),
        state: TenantState::read(row.get(2)),
        devices: row.get(3),
        online: row.get(4),
        created_at: UnixMillis::new(row.get(5)),
        changed_at: UnixMillis::new(row.get(6)),
        first_generation_commands: row.get(7),
        limits: limits(row.get(8), row.get(9), row.get(10)),
    }
}

/// The table's check knows all of them or none.
fn limits(conn: Option<i64>, payload: Option<i64>, subs: Option<i64>) -> Option<TenantLimits> {
    Some(TenantLimits { conn: conn?, payload: payload?, subs: subs? })
}
