//! What was stored of a device, read back: when it was online, its reports and its responses.

use protocol::{DeviceId, TenantId, UnixMillis};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// A device came online or went offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConnectivityChange {
    /// When, by the broker's clock, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub at: UnixMillis,
    /// Online from then on, or offline.
    pub online: bool,
}

/// A device's changes within a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// What it was when the span began; `None`: it was not known of.
    pub online_before: Option<bool>,
    /// The changes, oldest first.
    pub changes: Vec<ConnectivityChange>,
}

/// A change of some device, as it is told to who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewChange {
    /// Its number; later changes have larger ones, but may be seen a little earlier.
    pub id: i64,
    /// Whose device.
    pub tenant: TenantId,
    /// Which.
    pub device: DeviceId,
    /// What and when.
    pub change: ConnectivityChange,
}

/// Which reports or responses of a device; what is `None` does not matter.
#[derive(Clone, Copy, Debug)]
pub struct RecordFilter<'a> {
    /// Of this device.
    pub device: DeviceId,
    /// `monitoring` or `response`.
    pub kind: &'static str,
    /// Of this type only.
    pub data_type: Option<&'a str>,
    /// To this command only.
    pub command: Option<&'a str>,
    /// Numbered below this only.
    pub before: Option<i64>,
    /// Most rows.
    pub limit: u32,
}

/// A report or response.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// Its number.
    pub id: i64,
    /// Its type.
    pub data_type: String,
    /// The command that it answers.
    pub command_id: Option<String>,
    /// How that went.
    pub status: Option<String>,
    /// When it was sent, by the device's clock.
    pub sent_at: UnixMillis,
    /// When the broker took it.
    pub received_at: UnixMillis,
    /// What it says.
    pub payload: Value,
}

const CHANGES: &str = "
select floor(extract(epoch from changed_at) * 1000)::bigint, is_online
from device_connectivity_changes
where device_uuid = $1 and changed_at >= to_timestamp($2::bigint / 1000.0)
  and changed_at < to_timestamp($3::bigint / 1000.0)
order by changed_at, id
limit $4";

const BEFORE: &str = "
select is_online from device_connectivity_changes
where device_uuid = $1 and changed_at < to_timestamp($2::bigint / 1000.0)
order by changed_at desc, id desc
limit 1";

/// Numbers are given before rows are committed, so that a smaller one may appear later: what is
/// younger than the overlap comes again.
const NEW_CHANGES: &str = "
select id, tenant_uuid, device_uuid, floor(extract(epoch from changed_at) * 1000)::bigint, is_online
from device_connectivity_changes
where id > $1
order by id
limit $2";

const NEWEST_CHANGE: &str = "select coalesce(max(id), 0) from device_connectivity_changes";

const STORED: &str = "
select id, data_type, command_id, status,
       floor(extract(epoch from sent_at) * 1000)::bigint,
       floor(extract(epoch from received_at) * 1000)::bigint, payload
from device_realtime_data
where device_uuid = $1 and kind = $2
  and ($3::text is null or data_type = $3)
  and ($4::text is null or command_id = $4)
  and ($5::bigint is null or id < $5)
order by id desc
limit $6";

impl Records {
    /// When a device came online and went offline from `since` to before `until`, at most `limit`
    /// changes.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn connectivity_history(
        &self,
        device: DeviceId,
        since: UnixMillis,
        until: UnixMillis,
        limit: u32,
    ) -> Result<History, Unavailable> {
        let connection = self.connection().await?;
        let (device, since, until) = (device.as_uuid(), since.get(), until.get());
        let limit = i64::from(limit);
        let before = self.bounded(connection.query_opt(BEFORE, &[&device, &since])).await?;
        let before = before.map_err(|error| unavailable(&error))?;
        let values: [&(dyn ToSql + Sync); 4] = [&device, &since, &until, &limit];
        let rows = self.bounded(connection.query(CHANGES, &values)).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        let change =
            |row: &Row| ConnectivityChange { at: UnixMillis::new(row.get(0)), online: row.get(1) };
        Ok(History {
            online_before: before.map(|row| row.get(0)),
            changes: rows.iter().map(change).collect(),
        })
    }

    /// Number of the newest change of any device; 0 where there is none.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn newest_connectivity_change(&self) -> Result<i64, Unavailable> {
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_one(NEWEST_CHANGE, &[])).await?;
        Ok(row.map_err(|error| unavailable(&error))?.get(0))
    }

    /// Changes of all devices that are numbered above `after`, in their order.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn connectivity_changes_after(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<NewChange>, Unavailable> {
        let connection = self.connection().await?;
        let limit = i64::from(limit);
        let rows = self.bounded(connection.query(NEW_CHANGES, &[&after, &limit])).await?;
        let read = |row: &Row| NewChange {
            id: row.get(0),
            tenant: TenantId::new(row.get::<_, Uuid>(1)),
            device: DeviceId::new(row.get::<_, Uuid>(2)),
            change: ConnectivityChange { at: UnixMillis::new(row.get(3)), online: row.get(4) },
        };
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }

    /// Reports or responses of a device, newest first.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn stored_records(
        &self,
        filter: RecordFilter<'_>,
    ) -> Result<Vec<StoredRecord>, Unavailable> {
        let connection = self.connection().await?;
        let (device, limit) = (filter.device.as_uuid(), i64::from(filter.limit));
        let values: [&(dyn ToSql + Sync); 6] =
            [&device, &filter.kind, &filter.data_type, &filter.command, &filter.before, &limit];
        let rows = self.bounded(connection.query(STORED, &values)).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }
}

fn read(row: &Row) -> StoredRecord {
    StoredRecord {
        id: row.get(0),
        data_type: row.get(1),
        command_id: row.get(2),
        status: row.get(3),
        sent_at: UnixMillis::new(row.get(4)),
        received_at: UnixMillis::new(row.get(5)),
        payload: row.get::<_, Json<Value>>(6).0,
    }
}
