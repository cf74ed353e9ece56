//! The books in Postgres.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use deadpool_postgres::Object;
use protocol::UnixMillis;
use tokio_postgres::Error;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use super::told::{Told, told};
use super::{DeviceSession, NumberRun};
use crate::connectivity::HeartbeatWrite;
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;
use crate::traces;

/// A session's numbers of one kind take at most about this room; each gap takes some 20 bytes.
const STORED_MAX_BYTES: i32 = 16 * 1024;
/// Sessions of one device that are kept; an agent that is started anew has one more.
const SESSIONS_MAX: i64 = 64;

/// In one order for all writers, so that they cannot deadlock.
const NOTE: &str = "
insert into device_ledger as l (tenant_uuid, device_uuid, session_id, kind, stored, changed_at)
select tenant_uuid, device_uuid, session_id, $1, range_agg(int8range(first, last, '[]')),
       clock_timestamp()
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[])
  as t(tenant_uuid, device_uuid, session_id, first, last)
group by tenant_uuid, device_uuid, session_id
order by tenant_uuid, device_uuid, session_id
on conflict (tenant_uuid, device_uuid, session_id, kind) do update set
    stored = case when pg_column_size(l.stored) < $7 then l.stored + excluded.stored
                  else l.stored end,
    complete = l.complete and pg_column_size(l.stored) < $7,
    changed_at = excluded.changed_at";

/// The newest word counts, by the broker's clock.
const TELL: &str = "
insert into device_ledger_told as l (tenant_uuid, device_uuid, session_id, told_at, told)
select tenant_uuid, device_uuid, session_id, to_timestamp(told_ms / 1000.0), told
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::jsonb[])
  as t(tenant_uuid, device_uuid, session_id, told_ms, told)
on conflict (tenant_uuid, device_uuid, session_id) do update set
    told_at = excluded.told_at, told = excluded.told
where l.told_at <= excluded.told_at";

const INCOMPLETE: &str = "
update device_ledger set complete = false where kind = $1 and session_id = any($2::uuid[])";

const FORGET: &str = "
with sessions as (
    select tenant_uuid, device_uuid, session_id, max(changed_at) as changed_at from (
        select tenant_uuid, device_uuid, session_id, changed_at from device_ledger
        union all
        select tenant_uuid, device_uuid, session_id, told_at from device_ledger_told
    ) known group by tenant_uuid, device_uuid, session_id
), ranked as (
    select *, row_number() over (partition by tenant_uuid, device_uuid
                                 order by changed_at desc, session_id desc) as place
    from sessions
), old as (
    select tenant_uuid, device_uuid, session_id from ranked
    where place > $1 or changed_at < clock_timestamp() - $2::bigint * interval '1 second'
), untold as (
    delete from device_ledger_told l using old o
    where l.tenant_uuid = o.tenant_uuid and l.device_uuid = o.device_uuid
      and l.session_id = o.session_id
)
delete from device_ledger l using old o
where l.tenant_uuid = o.tenant_uuid and l.device_uuid = o.device_uuid
  and l.session_id = o.session_id";

impl Records {
    /// Notes that these numbers of a kind are stored.
    ///
    /// # Errors
    /// Postgres is away or ill; nothing is counted twice by noting them again.
    pub async fn note_stored(
        &self,
        kind: &'static str,
        runs: &[NumberRun],
    ) -> Result<(), Unavailable> {
        if runs.is_empty() {
            return Ok(());
        }
        let connection = self.connection().await?;
        let noting = self.bounded(note(&connection, kind, runs));
        let noted = traces::insert("device_ledger", runs.len(), noting).await?;
        noted.map_err(|error| unavailable(&error))
    }

    /// Notes that some numbers of these sessions were left out.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn note_incomplete(
        &self,
        kind: &'static str,
        sessions: &[DeviceSession],
    ) -> Result<(), Unavailable> {
        if sessions.is_empty() {
            return Ok(());
        }
        let connection = self.connection().await?;
        let sessions: Vec<Uuid> = sessions.iter().map(|of| of.session.as_uuid()).collect();
        let noted = self.bounded(connection.execute(INCOMPLETE, &[&kind, &sessions])).await?;
        noted.map(drop).map_err(|error| unavailable(&error))
    }

    /// Notes what each device's newest heartbeat says of its books.
    pub(crate) async fn note_told(&self, beats: &[HeartbeatWrite<'_>]) -> Result<(), Unavailable> {
        let mut newest: HashMap<_, &HeartbeatWrite<'_>> = HashMap::new();
        for beat in beats {
            let made = |beat: &HeartbeatWrite<'_>| (beat.received, beat.heartbeat.at);
            let held = newest.entry(beat.place()).or_insert(beat);
            if made(held) < made(beat) {
                *held = beat;
            }
        }
        // In one order for all writers, so that they cannot deadlock.
        let mut said: BTreeMap<DeviceSession, (UnixMillis, Told)> = BTreeMap::new();
        for ((tenant, device), beat) in newest {
            for (session, told) in told(beat.heartbeat) {
                said.insert(DeviceSession { tenant, device, session }, (beat.received, told));
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        let connection = self.connection().await?;
        let noting = self.bounded(tell(&connection, &said));
        let noted = traces::insert("device_ledger_told", said.len(), noting).await?;
        noted.map_err(|error| unavailable(&error))
    }

    /// Forgets sessions of which nothing was heard for `keep`, and of a device with very many the
    /// oldest.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn forget_old_sessions(&self, keep: Duration) -> Result<u64, Unavailable> {
        let connection = self.connection().await?;
        let keep_seconds = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
        let bounds: [&(dyn ToSql + Sync); 2] = [&SESSIONS_MAX, &keep_seconds];
        let gone = self.bounded(connection.execute(FORGET, &bounds)).await?;
        gone.map_err(|error| unavailable(&error))
    }
}

async fn note(connection: &Object, kind: &str, runs: &[NumberRun]) -> Result<(), Error> {
    let statement = connection.prepare_cached(NOTE).await?;
    let of = || runs.iter().map(|run| run.of);
    let tenants: Vec<Uuid> = of().map(|of| of.tenant.as_uuid()).collect();
    let devices: Vec<Uuid> = of().map(|of| of.device.as_uuid()).collect();
    let sessions: Vec<Uuid> = of().map(|of| of.session.as_uuid()).collect();
    // Numbers are at most `COUNTER_MAX`.
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX - 1);
    let first: Vec<i64> = runs.iter().map(|run| number(run.first)).collect();
    let last: Vec<i64> = runs.iter().map(|run| number(run.last)).collect();
    connection
        .execute(
            &statement,
            &[&kind, &tenants, &devices, &sessions, &first, &last, &STORED_MAX_BYTES],
        )
        .await
        .map(drop)
}

async fn tell(
    connection: &Object,
    said: &BTreeMap<DeviceSession, (UnixMillis, Told)>,
) -> Result<(), Error> {
    let statement = connection.prepare_cached(TELL).await?;
    let tenants: Vec<Uuid> = said.keys().map(|of| of.tenant.as_uuid()).collect();
    let devices: Vec<Uuid> = said.keys().map(|of| of.device.as_uuid()).collect();
    let sessions: Vec<Uuid> = said.keys().map(|of| of.session.as_uuid()).collect();
    let at: Vec<i64> = said.values().map(|(at, _)| at.get()).collect();
    let told: Vec<Json<Told>> = said.values().map(|(_, told)| Json(*told)).collect();
    connection.execute(&statement, &[&tenants, &devices, &sessions, &at, &told]).await.map(drop)
}
