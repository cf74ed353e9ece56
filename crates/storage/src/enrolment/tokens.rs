//! Making, listing and revoking the tokens that admit devices.
//!
//! Promises: making or revoking one and the line in the audit log are one statement.

use protocol::{TenantId, UnixMillis};
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::registry::{RegistryError, failed, is_unknown_tenant};
use crate::secret_token::EnrollToken;
use crate::sql_error::unavailable;

/// A token that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewEnrollToken<'a> {
    /// Whose devices it admits.
    pub tenant: TenantId,
    /// How many.
    pub uses: u32,
    /// Until when, in milliseconds since 1970.
    pub expires_at: UnixMillis,
    /// Who makes it, for the audit log.
    pub who: &'a str,
}

/// A token as operators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EnrollTokenRow {
    /// Its name in the table, by which it is revoked.
    pub id: Uuid,
    /// Whose devices it admits.
    #[schema(value_type = Uuid)]
    pub tenant: TenantId,
    /// How many it admits in all.
    pub uses: i32,
    /// How many it still admits.
    pub uses_left: i32,
    /// Who made it.
    pub created_by: String,
    /// When, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    /// Until when it is good, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
    /// When it was revoked, in milliseconds since 1970.
    #[schema(value_type = Option<i64>)]
    pub revoked_at: Option<UnixMillis>,
}

const CREATE: &str = "
with made as (
    insert into enroll_tokens (token_uuid, tenant_uuid, token_hash, uses, uses_left, created_by,
                               expires_at)
    values ($1, $2, $3, $4, $4, $5, to_timestamp($6::bigint / 1000.0))
    returning token_uuid, tenant_uuid, uses
)
insert into audit_log (who, action, object, detail)
select $5, 'enroll-token create', 'enroll-token ' || token_uuid,
       jsonb_build_object('tenant', tenant_uuid, 'uses', uses, 'expires_at', $6::bigint)
from made";

const REVOKE: &str = "
with revoked as (
    update enroll_tokens set revoked_at = clock_timestamp()
    where token_uuid = $1 and revoked_at is null
    returning token_uuid, tenant_uuid, uses_left
), noted as (
    insert into audit_log (who, action, object, detail)
    select $2, 'enroll-token revoke', 'enroll-token ' || token_uuid,
           jsonb_build_object('tenant', tenant_uuid, 'uses_left', uses_left)
    from revoked
)
select (select count(*) from enroll_tokens where token_uuid = $1), (select count(*) from revoked)";

const LIST: &str = "
select token_uuid, tenant_uuid, uses, uses_left, created_by,
       floor(extract(epoch from created_at) * 1000)::bigint,
       floor(extract(epoch from expires_at) * 1000)::bigint,
       floor(extract(epoch from revoked_at) * 1000)::bigint
from enroll_tokens
where $1::uuid is null or tenant_uuid = $1
order by created_at desc, token_uuid
limit $2";

impl Records {
    /// Makes a token; returns its id.
    ///
    /// # Errors
    /// The tenant is unknown, or Postgres is away, ill or not migrated.
    pub async fn create_enroll_token(
        &self,
        token: &EnrollToken,
        wanted: NewEnrollToken<'_>,
    ) -> Result<Uuid, RegistryError> {
        let connection = self.connection().await?;
        let (id, tenant, hash) = (Uuid::now_v7(), wanted.tenant.as_uuid(), token.hash());
        let uses = i32::try_from(wanted.uses).unwrap_or(i32::MAX);
        let expires_at = wanted.expires_at.get();
        let values: [&(dyn ToSql + Sync); 6] =
            [&id, &tenant, &hash, &uses, &wanted.who, &expires_at];
        match self.bounded(connection.execute(CREATE, &values)).await? {
            Ok(_) => Ok(id),
            Err(error) if is_unknown_tenant(&error) => {
                Err(RegistryError::UnknownTenant(wanted.tenant))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Revokes a token at once and for good; `None`: there is none, `false`: it was revoked before.
    /// Devices that were enrolled with it stay.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn revoke_enroll_token(
        &self,
        id: Uuid,
        who: &str,
    ) -> Result<Option<bool>, Unavailable> {
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_one(REVOKE, &[&id, &who])).await?;
        let row = row.map_err(|error| unavailable(&error))?;
        let (known, revoked): (i64, i64) = (row.get(0), row.get(1));
        Ok((known == 1).then_some(revoked == 1))
    }

    /// Tokens, or one tenant's, newest first, at most `limit`.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn enroll_tokens(
        &self,
        tenant: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<EnrollTokenRow>, Unavailable> {
        let connection = self.connection().await?;
        let tenant = tenant.map(|tenant| tenant.as_uuid());
        let rows = self.bounded(connection.query(LIST, &[&tenant, &i64::from(limit)])).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }
}

fn read(row: &Row) -> EnrollTokenRow {
    EnrollTokenRow {
        id: row.get(0),
        tenant: TenantId::new(row.get(1)),
        uses: row.get(2),
        uses_left: row.get(3),
        created_by: row.get(4),
        created_at: UnixMillis::new(row.get(5)),
        expires_at: UnixMillis::new(row.get(6)),
        revoked_at: row.get::<_, Option<i64>>(7).map(UnixMillis::new),
    }
}
