//! The audit log: who changed what, when, and what came of it.
//!
//! Promises: [`Records::audit`] returns after the rows are durable, all or none. Refuses, in the
//! database itself: to change or remove a row.

use protocol::{DeviceId, TenantId, UnixMillis};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::{Json, ToSql};
use utoipa::ToSchema;

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
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditRow {
    /// Its number; rows are numbered in the order of their making.
    pub id: i64,
    /// When, by the database's clock, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub at: UnixMillis,
    /// Who did it.
    pub who: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// Why, and what came of it.
    #[schema(value_type = Object)]
    pub detail: Value,
}

const INSERT: &str = "
insert into audit_log (who, action, object, detail)
select who, action, object, detail
from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) with ordinality
  as t(who, action, object, detail, place)
order by place";

/// Which rows to read; what is not given does not matter, but for the limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter<'a> {
    /// What the action begins with; empty: any.
    pub action: &'a str,
    /// About this object only.
    pub object: Option<&'a str>,
    /// About this tenant and what is its only.
    pub tenant: Option<TenantId>,
    /// About this device only.
    pub device: Option<DeviceId>,
    /// From this time on only.
    pub since: Option<UnixMillis>,
    /// Numbered below this only.
    pub before: Option<i64>,
    /// Most rows.
    pub limit: u32,
}

const NEWEST: &str = "
select id, floor(extract(epoch from at) * 1000)::bigint, who, action, object, detail
from audit_log
where starts_with(action, $1)
  and ($2::text is null or object = $2)
  and ($3::uuid is null or tenant_uuid = $3)
  and ($4::uuid is null or object = 'device ' || $4::uuid or detail ->> 'device' = ($4::uuid)::text)
  and ($5::bigint is null or at >= to_timestamp($5::bigint / 1000.0))
  and ($6::bigint is null or id < $6)
order by id desc
limit $7";

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

    /// The newest rows that a filter lets through, newest first.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn audit_rows(&self, filter: AuditFilter<'_>) -> Result<Vec<AuditRow>, Unavailable> {
        let connection = self.connection().await?;
        let tenant = filter.tenant.map(|tenant| tenant.as_uuid());
        let device = filter.device.map(|device| device.as_uuid());
        let (since, limit) = (filter.since.map(|at| at.get()), i64::from(filter.limit));
        let values: [&(dyn ToSql + Sync); 7] =
            [&filter.action, &filter.object, &tenant, &device, &since, &filter.before, &limit];
        let rows = self.bounded(connection.query(NEWEST, &values)).await?;
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
