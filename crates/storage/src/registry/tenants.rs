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
    /// When it was added, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    /// When its name or state last changed, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub changed_at: UnixMillis,
}

const ENSURE: &str = "
insert into tenants (tenant_uuid, name) values ($1, $2)
on conflict (tenant_uuid) do update set name = excluded.name, changed_at = clock_timestamp()
  where tenants.name <> excluded.name";

const LIST: &str = "
select t.tenant_uuid, t.name, t.state,
       (select count(*) from devices d
        where d.tenant_uuid = t.tenant_uuid and d.state = 'active'),
       (select count(*) from device_connectivity c
        where c.tenant_uuid = t.tenant_uuid and c.is_online),
       floor(extract(epoch from t.created_at) * 1000)::bigint,
       floor(extract(epoch from t.changed_at) * 1000)::bigint,
       t.first_generation_commands
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
    }
}
