//! Sessions of people at the web service.
//!
//! Promises: the tables hold no secret but its hash; a session is over with its time, when it was
//! idle for too long, and when its user or token is gone. All is done by functions of the database,
//! so that the web service can do no more than this.

use protocol::{TenantId, UnixMillis};
use serde::Serialize;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api_tokens::{ApiRole, ApiTokenRefusal};
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::secret_token::{ApiToken, LinkToken, SessionToken};
use crate::sql_error::unavailable;
use crate::walls::Scope;

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpenedBy {
    /// With a token of the API.
    Token,
    /// With a password.
    Password,
    /// With the link of the first start.
    Link,
}

/// What a session is worth.
#[derive(Clone, Debug)]
pub struct KnownSession {
    /// Its name in the table.
    pub id: Uuid,
    /// Who it is.
    pub name: String,
    /// Whose rows it shows.
    pub scope: Scope,
    /// What it may.
    pub role: ApiRole,
    /// How it was opened.
    pub opened_by: OpenedBy,
    /// Until when it is good, used or not, in milliseconds since 1970.
    pub expires_at: UnixMillis,
    /// Whether its user has no password yet.
    pub needs_password: bool,
    /// Why it is good for nothing, if it is.
    pub refusal: Option<ApiTokenRefusal>,
}

/// What somebody signs in with, once it was found right.
#[derive(Clone, Copy, Debug)]
pub enum SignInWith<'a> {
    /// A token of the API; checked here.
    Token(&'a ApiToken),
    /// The user whose password was right.
    User(Uuid),
    /// A link; checked here, and used up.
    Link(&'a LinkToken),
}

/// A session that nobody uses is over after this.
const IDLE_SECONDS: i64 = 2 * 3_600;
/// A session is over after this, used or not.
pub const SESSION_SECONDS: i64 = 12 * 3_600;
/// How long the link of the first start is good.
const LINK_SECONDS: i64 = 15 * 60;

const KNOWN: &str = "
select session_uuid, name, tenant_uuid, role, opened_by,
       floor(extract(epoch from expires_at) * 1000)::bigint, needs_password,
       is_expired, is_revoked, is_suspended
from wegweiser_session($1, $2)";

impl Records {
    /// Opens a session; `false` where what was shown is good for nothing.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn open_session(
        &self,
        session: &SessionToken,
        with: SignInWith<'_>,
    ) -> Result<bool, Unavailable> {
        let (id, hash, lasts) = (Uuid::now_v7(), session.hash(), SESSION_SECONDS);
        let (shown, user);
        let (sql, with): (&str, &(dyn ToSql + Sync)) = match with {
            SignInWith::Token(token) => {
                shown = token.hash();
                ("select wegweiser_sign_in_token($1, $2, $3, $4)", &shown)
            }
            SignInWith::Link(link) => {
                shown = link.hash();
                ("select wegweiser_sign_in_link($1, $2, $3, $4)", &shown)
            }
            SignInWith::User(known) => {
                user = known;
                ("select wegweiser_sign_in_user($1, $2, $3, $4)", &user)
            }
        };
        let connection = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 4] = [&id, &hash, with, &lasts];
        let row = self.bounded(connection.query_one(sql, &values)).await?;
        Ok(row.map_err(|error| unavailable(&error))?.get(0))
    }

    /// What a session is worth, or `None` where nobody opened it. It counts as used.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn known_session(
        &self,
        session: &SessionToken,
    ) -> Result<Option<KnownSession>, Unavailable> {
        let connection = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 2] = [&session.hash(), &IDLE_SECONDS];
        let row = self.bounded(connection.query_opt(KNOWN, &values)).await?;
        Ok(row.map_err(|error| unavailable(&error))?.as_ref().map(read))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn end_session(&self, session: &SessionToken) -> Result<(), Unavailable> {
        let connection = self.connection().await?;
        let sql = "select wegweiser_end_session($1)";
        let ended = self.bounded(connection.execute(sql, &[&session.hash()])).await?;
        ended.map(drop).map_err(|error| unavailable(&error))
    }

    /// The user of a name and the hash of the password; `None` where there is none.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn password_of(&self, name: &str) -> Result<Option<(Uuid, String)>, Unavailable> {
        let connection = self.connection().await?;
        let sql = "select user_uuid, password_hash from wegweiser_password($1)";
        let row = self.bounded(connection.query_opt(sql, &[&name])).await?;
        let row = row.map_err(|error| unavailable(&error))?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    /// Sets the password of a session's user, and ends the user's other sessions; `false` where
    /// the session is of a token.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn set_own_password(
        &self,
        session: &SessionToken,
        password_hash: &str,
    ) -> Result<bool, Unavailable> {
        let connection = self.connection().await?;
        let sql = "select wegweiser_set_password($1, $2)";
        let row =
            self.bounded(connection.query_one(sql, &[&session.hash(), &password_hash])).await?;
        Ok(row.map_err(|error| unavailable(&error))?.get(0))
    }

    /// Makes a link for the first admin, good once and for 15 minutes; `false` where there is a
    /// user already.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn make_first_link(&self, link: &LinkToken) -> Result<bool, Unavailable> {
        let connection = self.connection().await?;
        let sql = "select wegweiser_first_link($1, $2)";
        let row = self.bounded(connection.query_one(sql, &[&link.hash(), &LINK_SECONDS])).await?;
        Ok(row.map_err(|error| unavailable(&error))?.get(0))
    }
}

fn read(row: &tokio_postgres::Row) -> KnownSession {
    let refusals = [
        (row.get(8), ApiTokenRefusal::Revoked),
        (row.get(7), ApiTokenRefusal::Expired),
        (row.get(9), ApiTokenRefusal::Suspended),
    ];
    let tenant = row.get::<_, Option<Uuid>>(2).map(TenantId::new);
    KnownSession {
        id: row.get(0),
        name: row.get(1),
        scope: tenant.map_or(Scope::AllTenants, Scope::Tenant),
        role: ApiRole::read(row.get(3)),
        opened_by: match row.get(4) {
            "link" => OpenedBy::Link,
            "token" => OpenedBy::Token,
            _ => OpenedBy::Password,
        },
        expires_at: UnixMillis::new(row.get(5)),
        needs_password: row.get(6),
        refusal: refusals.into_iter().find(|(holds, _)| *holds).map(|(_, refusal)| refusal),
    }
}
