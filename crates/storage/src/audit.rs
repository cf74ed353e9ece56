//! The audit log: who changed what, when, and what came of it.
//!
//! Promises: [`Records::audit`] returns after the rows are durable, all or none. Refuses, in the
//! database itself: to change or remove a row.

use protocol::UnixMillis;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::Json;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// One fact for the log.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Who did it.
    pub who: String,
    /// What was done, such as `dlq replay`.
    pub action: &'static str,
    /// To what, such as `DEAD_LETTERS 17`.
    pub object: String,
    /// Why, and what came of it.
    pub detail: Value,
}

/// One row of the log.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRow {
    /// Its number; rows are numbered in the order of their making.
    pub id: i64,
    /// When, by the database's clock.
    pub at: UnixMillis,
    /// Who did it.
    pub who: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// Why, and what came of it.
    pub detail: Value,
}

const INSERT: &str = "
insert into audit_log (who, action, object, detail)
select who, action, object, detail
from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) with ordinality
  as t(who, action, object, detail, place)
order by place";

const NEWEST: &str = "
select id, floor(extract(epoch from at) * 1000)::bigint, who, action, object, detail
from audit_log
where starts_with(action, $1) and ($2::text is null or object = $2)
order by id desc
limit $3";

impl Records {
    /// Adds entries to the log, all or none.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated; nothing may be changed then.
    pub async fn audit(&self, entries: &[AuditEntry]) -> Result<(), Unavailable> {
        let who: Vec<&str> = entries.iter().map(|entry| entry.who.as_str()).collect();
        let action: Vec<&str> = entries.iter().map(|entry| entry.action).collect();
        let object: Vec<&str> = entries.iter().map(|entry| entry.object.as_str()).collect();
        let detail: Vec<Json<&Value>> = entries.iter().map(|entry| Json(&entry.detail)).collect();
        let connection = self.connection().await?;
        let added =
            self.bounded(connection.execute(INSERT, &[&who, &action, &object, &detail])).await?;
        added.map(drop).map_err(|error| unavailable(&error))
    }

    /// The newest rows whose action starts with `action`, newest first; of one object where one
    /// is given.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn audit_rows(
        &self,
        action: &str,
        object: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, Unavailable> {
        let connection = self.connection().await?;
        let limit = i64::from(limit);
        let rows = self.bounded(connection.query(NEWEST, &[&action, &object, &limit])).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        let read = |row: &tokio_postgres::Row| AuditRow {
            id: row.get(0),
            at: UnixMillis::new(row.get(1)),
            who: row.get(2),
            action: row.get(3),
            object: row.get(4),
            detail: row.get::<_, Json<Value>>(5).0,
        };
        Ok(rows.iter().map(read).collect())
    }
}
