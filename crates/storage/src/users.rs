//! People who sign in at the web service: made, listed and removed by operators.
//!
//! Promises: making, changing and removing one and the line in the audit log are one statement;
//! removing one ends the sessions.

use protocol::{TenantId, UnixMillis};
use serde::Serialize;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::api_tokens::ApiRole;
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::registry::{RegistryError, failed, is_unknown_tenant};
use crate::sql_error::unavailable;
use crate::walls::Scope;

/// Somebody who is to be let in.
#[derive(Clone, Copy, Debug)]
pub struct NewUser<'a> {
    /// What they sign in by.
    pub name: &'a str,
    /// One tenant's, or all.
    pub scope: Scope,
    /// What they may.
    pub role: ApiRole,
    /// Of their password; see [`crate::hash_password`].
    pub password_hash: &'a str,
    /// Who makes it, for the audit log.
    pub who: &'a str,
}

/// A user as operators see one.
#[derive(Clone, Debug, Serialize)]
pub struct UserRow {
    /// The id in the table.
    pub id: Uuid,
    /// What they sign in by.
    pub name: String,
    /// Whose rows they see; none: all.
    pub tenant: Option<TenantId>,
    /// What they may.
    pub role: ApiRole,
    /// Whether a password is set.
    pub has_password: bool,
    /// Open sessions.
    pub sessions: i64,
    /// Who made it.
    pub created_by: String,
    /// When, in milliseconds since 1970.
    pub created_at: UnixMillis,
}

/// Why a user was not made.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The registry says why.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// There is one of this name.
    #[error(
        "there is a user {0:?} already; run: wegweiser user password, or wegweiser user remove"
    )]
    Taken(String),
}

const CREATE: &str = "
with made as (
    insert into users (user_uuid, name, tenant_uuid, role, password_hash, created_by)
    values ($1, $2, $3, $4, $5, $6)
    returning user_uuid, name, tenant_uuid, role
)
insert into audit_log (who, action, object, detail)
select $6, 'user add', 'user ' || user_uuid,
       jsonb_build_object('name', name, 'tenant', tenant_uuid, 'role', role)
from made";

const SET_PASSWORD: &str = "
with changed as (
    update users set password_hash = $2, changed_at = clock_timestamp()
    where lower(name) = lower($1)
    returning user_uuid, name, tenant_uuid
), ended as (
    delete from sessions where user_uuid in (select user_uuid from changed)
)
insert into audit_log (who, action, object, detail)
select $3, 'user password', 'user ' || user_uuid,
       jsonb_build_object('name', name, 'tenant', tenant_uuid)
from changed";

const REMOVE: &str = "
with removed as (
    delete from users where lower(name) = lower($1) returning user_uuid, name, tenant_uuid
)
insert into audit_log (who, action, object, detail)
select $2, 'user remove', 'user ' || user_uuid,
       jsonb_build_object('name', name, 'tenant', tenant_uuid)
from removed";

const LIST: &str = "
select user_uuid, name, tenant_uuid, role, password_hash is not null,
       (select count(*) from sessions s
        where s.user_uuid = u.user_uuid and s.expires_at > clock_timestamp()),
       created_by, floor(extract(epoch from created_at) * 1000)::bigint
from users u
order by lower(name)";

impl Records {
    /// Makes a user.
    ///
    /// # Errors
    /// The name is taken, the tenant unknown, or Postgres is away, ill or not migrated.
    pub async fn create_user(&self, wanted: NewUser<'_>) -> Result<Uuid, UserError> {
        let connection = self.connection().await.map_err(RegistryError::from)?;
        let id = Uuid::now_v7();
        let tenant = wanted.scope.tenant().map(|tenant| tenant.as_uuid());
        let role = wanted.role.as_str();
        let values: [&(dyn ToSql + Sync); 6] =
            [&id, &wanted.name, &tenant, &role, &wanted.password_hash, &wanted.who];
        let made = self.bounded(connection.execute(CREATE, &values)).await;
        match (made.map_err(RegistryError::from)?, wanted.scope.tenant()) {
            (Ok(_), _) => Ok(id),
            (Err(error), _) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                Err(UserError::Taken(wanted.name.to_owned()))
            }
            (Err(error), Some(tenant)) if is_unknown_tenant(&error) => {
                Err(RegistryError::UnknownTenant(tenant).into())
            }
            (Err(error), _) => Err(failed(&error).into()),
        }
    }

    /// Sets somebody's password and ends their sessions; `false`: there is nobody of that name.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn set_password(
        &self,
        name: &str,
        password_hash: &str,
        who: &str,
    ) -> Result<bool, Unavailable> {
        let connection = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 3] = [&name, &password_hash, &who];
        let noted = self.bounded(connection.execute(SET_PASSWORD, &values)).await?;
        Ok(noted.map_err(|error| unavailable(&error))? == 1)
    }

    /// Removes somebody and ends their sessions; `false`: there is nobody of that name.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn remove_user(&self, name: &str, who: &str) -> Result<bool, Unavailable> {
        let connection = self.connection().await?;
        let noted = self.bounded(connection.execute(REMOVE, &[&name, &who])).await?;
        Ok(noted.map_err(|error| unavailable(&error))? == 1)
    }

    /// Every user, by name.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn users(&self) -> Result<Vec<UserRow>, Unavailable> {
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(LIST, &[])).await?;
        let read = |row: &tokio_postgres::Row| UserRow {
            id: row.get(0),
            name: row.get(1),
            tenant: row.get::<_, Option<Uuid>>(2).map(TenantId::new),
            role: ApiRole::read(row.get(3)),
            has_password: row.get(4),
            sessions: row.get(5),
            created_by: row.get(6),
            created_at: UnixMillis::new(row.get(7)),
        };
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }
}
