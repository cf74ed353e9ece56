//! Tokens of the HTTP API: who may ask, about which tenant, and what.
//!
//! Promises: the table holds no token but its hash; making and revoking one and the line in the
//! audit log are one statement; a revoked, expired or suspended tenant's token is known as such,
//! so that its user is told what to do.

use protocol::{TenantId, UnixMillis};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Scope;
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::registry::{RegistryError, failed, is_unknown_tenant};
use crate::secret_token::ApiToken;
use crate::sql_error::unavailable;

/// What a token lets its user do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApiRole {
    /// Read.
    Viewer,
    /// Replay and discard dead letters.
    Operator,
    /// Everything.
    Admin,
}

impl ApiRole {
    /// As the table has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn read(text: &str) -> Self {
        match text {
            "admin" => Self::Admin,
            "operator" => Self::Operator,
            // The table's check knows no fourth, and the least is never too much.
            _ => Self::Viewer,
        }
    }
}

/// A token that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewApiToken<'a> {
    /// Who will use it, for people.
    pub name: &'a str,
    /// One tenant's, or all.
    pub scope: Scope,
    /// What it may.
    pub role: ApiRole,
    /// Until when.
    pub expires_at: UnixMillis,
    /// Who makes it, for the audit log.
    pub who: &'a str,
}

/// A token as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct ApiTokenRow {
    /// Its name in the table, by which it is revoked.
    pub id: Uuid,
    /// Who uses it.
    pub name: String,
    /// Whose rows it shows; none: all.
    pub tenant: Option<TenantId>,
    /// What it may.
    pub role: ApiRole,
    /// Who made it.
    pub created_by: String,
    /// When, in milliseconds since 1970.
    pub created_at: UnixMillis,
    /// Until when it is good, in milliseconds since 1970.
    pub expires_at: UnixMillis,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_at: Option<UnixMillis>,
}

/// What a token that somebody showed is worth.
#[derive(Clone, Debug)]
pub struct KnownApiToken {
    /// Its name in the table.
    pub id: Uuid,
    /// Who uses it.
    pub name: String,
    /// Whose rows it shows.
    pub scope: Scope,
    /// What it may.
    pub role: ApiRole,
    /// Why it is good for nothing, if it is.
    pub refusal: Option<ApiTokenRefusal>,
}

/// Why a token is good for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiTokenRefusal {
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
    /// Its tenant is suspended.
    Suspended,
}

const CREATE: &str = "
with made as (
    insert into api_tokens (token_uuid, name, tenant_uuid, role, token_hash, created_by, expires_at)
    values ($1, $2, $3, $4, $5, $6, to_timestamp($7::bigint / 1000.0))
    returning token_uuid, name, tenant_uuid, role
)
insert into audit_log (who, action, object, detail)
select $6, 'api-token create', 'api-token ' || token_uuid,
       jsonb_build_object('name', name, 'tenant', tenant_uuid, 'role', role, 'expires_at', $7::bigint)
from made";

const REVOKE: &str = "
with revoked as (
    update api_tokens set revoked_at = clock_timestamp()
    where token_uuid = $1 and revoked_at is null
    returning token_uuid, name, tenant_uuid
), noted as (
    insert into audit_log (who, action, object, detail)
    select $2, 'api-token revoke', 'api-token ' || token_uuid,
           jsonb_build_object('name', name, 'tenant', tenant_uuid)
    from revoked
)
select (select count(*) from api_tokens where token_uuid = $1), (select count(*) from revoked)";

const LIST: &str = "
select token_uuid, name, tenant_uuid, role, created_by,
       floor(extract(epoch from created_at) * 1000)::bigint,
       floor(extract(epoch from expires_at) * 1000)::bigint,
       floor(extract(epoch from revoked_at) * 1000)::bigint
from api_tokens
where $1::uuid is null or tenant_uuid = $1
order by created_at, token_uuid";

const KNOWN: &str = "
select token_uuid, name, tenant_uuid, role, is_expired, is_revoked, is_suspended
from wegweiser_api_token($1)";

impl Records {
    /// Makes a token; returns its id.
    ///
    /// # Errors
    /// The tenant is unknown, or Postgres is away, ill or not migrated.
    pub async fn create_api_token(
        &self,
        token: &ApiToken,
        wanted: NewApiToken<'_>,
    ) -> Result<Uuid, RegistryError> {
        let connection = self.connection().await?;
        let id = Uuid::now_v7();
        let tenant = wanted.scope.tenant().map(|tenant| tenant.as_uuid());
        let (role, hash) = (wanted.role.as_str(), token.hash());
        let expires_at = wanted.expires_at.get();
        let values: [&(dyn ToSql + Sync); 7] =
            [&id, &wanted.name, &tenant, &role, &hash, &wanted.who, &expires_at];
        match (self.bounded(connection.execute(CREATE, &values)).await?, wanted.scope.tenant()) {
            (Ok(_), _) => Ok(id),
            (Err(error), Some(tenant)) if is_unknown_tenant(&error) => {
                Err(RegistryError::UnknownTenant(tenant))
            }
            (Err(error), _) => Err(failed(&error)),
        }
    }

    /// Revokes a token at once and for good; `None`: there is none, `false`: it was revoked before.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn revoke_api_token(&self, id: Uuid, who: &str) -> Result<Option<bool>, Unavailable> {
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_one(REVOKE, &[&id, &who])).await?;
        let row = row.map_err(|error| unavailable(&error))?;
        let (known, revoked): (i64, i64) = (row.get(0), row.get(1));
        Ok((known == 1).then_some(revoked == 1))
    }

    /// Every token, or one tenant's, oldest first.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn api_tokens(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<Vec<ApiTokenRow>, Unavailable> {
        let connection = self.connection().await?;
        let tenant = tenant.map(|tenant| tenant.as_uuid());
        let rows = self.bounded(connection.query(LIST, &[&tenant])).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }

    /// What a token is worth, or `None` where nobody made it.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn known_api_token(
        &self,
        token: &ApiToken,
    ) -> Result<Option<KnownApiToken>, Unavailable> {
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_opt(KNOWN, &[&token.hash()])).await?;
        Ok(row.map_err(|error| unavailable(&error))?.as_ref().map(read_known))
    }
}

fn read(row: &Row) -> ApiTokenRow {
    ApiTokenRow {
        id: row.get(0),
        name: row.get(1),
        tenant: row.get::<_, Option<Uuid>>(2).map(TenantId::new),
        role: ApiRole::read(row.get(3)),
        created_by: row.get(4),
        created_at: UnixMillis::new(row.get(5)),
        expires_at: UnixMillis::new(row.get(6)),
        revoked_at: row.get::<_, Option<i64>>(7).map(UnixMillis::new),
    }
}

fn read_known(row: &Row) -> KnownApiToken {
    let refusals = [
        (row.get(5), ApiTokenRefusal::Revoked),
        (row.get(4), ApiTokenRefusal::Expired),
        (row.get(6), ApiTokenRefusal::Suspended),
    ];
    let tenant = row.get::<_, Option<Uuid>>(2).map(TenantId::new);
    KnownApiToken {
        id: row.get(0),
        name: row.get(1),
        scope: tenant.map_or(Scope::AllTenants, Scope::Tenant),
        role: ApiRole::read(row.get(3)),
        refusal: refusals.into_iter().find(|(holds, _)| *holds).map(|(_, refusal)| refusal),
    }
}
