//! Heartbeats into `device_connectivity`, and the list of devices out of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use deadpool_postgres::Object;
use protocol::{DeviceId, Heartbeat, Labels, MessageNumber, TenantId, UnixMillis};
use serde::Serialize;
use tokio_postgres::Error;
use tokio_postgres::types::{Json, ToSql};

use crate::labels::EFFECTIVE;
use crate::ledger::{DeviceSession, NumberRun, runs};
use crate::outcome::{Committed, Unavailable, Written};
use crate::presence::OfflineRule;
use crate::rebuild::Target;
use crate::records::Records;
use crate::sql_error::unavailable;

/// A heartbeat on its way into the record of its device.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatWrite<'a> {
    /// The heartbeat.
    pub heartbeat: &'a Heartbeat,
    /// Its number, where its device numbered it.
    pub number: Option<MessageNumber>,
    /// When the broker took it.
    pub received: UnixMillis,
}

/// A device and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// Whether its heartbeats arrive.
    pub online: bool,
    /// When that last changed, in milliseconds since 1970.
    pub last_online_change: UnixMillis,
    /// When the broker took its newest heartbeat, in milliseconds since 1970.
    pub last_heartbeat: UnixMillis,
    /// The device's clock minus the broker's, in milliseconds.
    pub clock_offset_ms: i64,
    /// Version of its agent.
    pub agent_version: Option<String>,
    /// Run of its agent.
    pub session: Option<String>,
    /// Its labels; those of operators win over those that it reports.
    pub labels: BTreeMap<String, String>,
}

const TABLE: &str = "device_connectivity";
/// The newest heartbeat wins, and a late one never turns a state back. Of two that the broker took
/// in one millisecond the one that its device made later is the newest: its offset is the larger.
const UPSERT: &str = "
with beat as (
    select tenant_uuid, device_uuid, to_timestamp(received_ms / 1000.0) as received,
           clock_offset_ms, offline_after_ms, session_id, agent_version,
           connection_info::jsonb as connection_info
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[],
                $6::text[], $7::text[], $8::text[])
      as t(tenant_uuid, device_uuid, received_ms, clock_offset_ms, offline_after_ms,
           session_id, agent_version, connection_info)
), before as (
    select c.tenant_uuid, c.device_uuid, c.is_online
    from device_connectivity c join beat using (tenant_uuid, device_uuid)
), upserted as (
    insert into device_connectivity as c
          (tenant_uuid, device_uuid, is_online, last_online_change, last_seen_online,
           last_heartbeat, clock_offset_ms, offline_after_ms, session_id, agent_version,
           connection_type, connection_info)
    select tenant_uuid, device_uuid, true, received, received, received, clock_offset_ms,
           offline_after_ms, session_id, agent_version, 'nats', connection_info
    from beat
    on conflict (tenant_uuid, device_uuid) do update set
           is_online = true,
           last_online_change = case when c.is_online then c.last_online_change
                                     else excluded.last_online_change end,
           last_seen_online = excluded.last_seen_online,
           last_heartbeat = excluded.last_heartbeat,
           clock_offset_ms = excluded.clock_offset_ms,
           offline_after_ms = excluded.offline_after_ms,
           session_id = excluded.session_id,
           agent_version = excluded.agent_version,
           connection_type = excluded.connection_type,
           connection_info = excluded.connection_info
    where (c.last_heartbeat, c.clock_offset_ms) < (excluded.last_heartbeat, excluded.clock_offset_ms)
    returning c.tenant_uuid, c.device_uuid, c.last_online_change, c.last_heartbeat
)
insert into device_connectivity_changes (tenant_uuid, device_uuid, changed_at, is_online)
select u.tenant_uuid, u.device_uuid, u.last_online_change, true
from upserted u left join before b using (tenant_uuid, device_uuid)
where (b.is_online is null or not b.is_online) and u.last_online_change = u.last_heartbeat";

fn list() -> String {
    format!(
        "
select c.tenant_uuid, c.device_uuid, c.is_online,
       floor(extract(epoch from c.last_online_change) * 1000)::bigint,
       floor(extract(epoch from c.last_heartbeat) * 1000)::bigint,
       c.clock_offset_ms, c.agent_version, c.session_id, {EFFECTIVE}
from device_connectivity c
left join devices d on d.device_uuid = c.device_uuid and d.tenant_uuid = c.tenant_uuid
where ($1::uuid is null or c.tenant_uuid = $1) and ($2::uuid is null or c.device_uuid = $2)
  and ($3::jsonb = '{{}}' or {EFFECTIVE} @> $3)
order by c.tenant_uuid, c.device_uuid
limit $4"
    )
}

const KNOWN: &str = "
select exists (select from devices where device_uuid = $1)
    or exists (select from device_connectivity where device_uuid = $1)";

/// One row of the upsert: the newest heartbeat of a device within a batch.
struct Beat<'a> {
    index: usize,
    write: HeartbeatWrite<'a>,
    offline_after_ms: i64,
}

impl HeartbeatWrite<'_> {
    pub(crate) const fn place(&self) -> (TenantId, DeviceId) {
        (self.heartbeat.tenant, self.heartbeat.device)
    }
}

impl Beat<'_> {
    const fn place(&self) -> (TenantId, DeviceId) {
        self.write.place()
    }
}

/// The numbers of heartbeats.
pub(crate) fn numbers(taken: &[HeartbeatWrite<'_>]) -> Vec<NumberRun> {
    let mut numbers = Vec::new();
    for write in taken {
        if let Some(number) = write.number {
            let (tenant, device) = write.place();
            let of = DeviceSession { tenant, device, session: number.session };
            numbers.push((of, number.counter));
        }
    }
    runs(numbers)
}

impl Records {
    /// Takes a batch of heartbeats; the answers stand in their order.
    ///
    /// # Errors
    /// Postgres is away or ill; nothing is lost by writing the same batch again.
    pub async fn write_heartbeats(
        &self,
        writes: &[HeartbeatWrite<'_>],
        rule: &OfflineRule,
    ) -> Result<Vec<Written>, Unavailable> {
        let written = self.write_heartbeats_into(Target::Real, writes, rule).await?;
        let taken: Vec<HeartbeatWrite<'_>> = writes
            .iter()
            .zip(&written)
            .filter_map(|(write, written)| written.is_ok().then_some(*write))
            .collect();
        self.note_stored("heartbeat", &numbers(&taken)).await?;
        self.note_told(&taken).await?;
        Ok(written)
    }

    pub(crate) async fn write_heartbeats_into(
        &self,
        target: Target,
        writes: &[HeartbeatWrite<'_>],
        rule: &OfflineRule,
    ) -> Result<Vec<Written>, Unavailable> {
        let sql = target.of(UPSERT, TABLE);
        let mut written: Vec<Written> = Vec::new();
        written.resize_with(writes.len(), || Ok(Committed::confirmed()));
        let mut candidates: Vec<usize> = (0..writes.len()).collect();
        // Once, unless a newest one is refused: then the next newest of that device is tried.
        while !candidates.is_empty() {
            let beats = newest_per_device(writes, &candidates, rule);
            let outcomes = self.write_bisecting(TABLE, &sql, &beats, upsert).await?;
            let mut refused = HashSet::new();
            for (beat, outcome) in beats.iter().zip(outcomes) {
                if outcome.is_err() {
                    refused.insert(beat.place());
                    candidates.retain(|index| *index != beat.index);
                }
                written[beat.index] = outcome;
            }
            candidates.retain(|index| refused.contains(&writes[*index].place()));
        }
        Ok(written)
    }

    /// Devices in the order of tenant and device, at most `limit`; of one tenant or one id if
    /// given.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn devices(
        &self,
        tenant: Option<TenantId>,
        device: Option<DeviceId>,
        limit: u32,
    ) -> Result<Vec<DeviceRow>, Unavailable> {
        self.list(tenant, device, &Labels::default(), limit).await
    }

    /// As [`Records::devices`], only those that have all of `labels`.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn labelled_devices(
        &self,
        tenant: Option<TenantId>,
        labels: &Labels,
        limit: u32,
    ) -> Result<Vec<DeviceRow>, Unavailable> {
        self.list(tenant, None, labels, limit).await
    }

    /// Whether a heartbeat of the device was ever taken, or an operator registered it.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn knows_device(&self, device: DeviceId) -> Result<bool, Unavailable> {
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_one(KNOWN, &[&device.as_uuid()])).await?;
        Ok(row.map_err(|error| unavailable(&error))?.get(0))
    }

    async fn list(
        &self,
        tenant: Option<TenantId>,
        device: Option<DeviceId>,
        labels: &Labels,
        limit: u32,
    ) -> Result<Vec<DeviceRow>, Unavailable> {
        let tenant = tenant.map(|tenant| tenant.as_uuid());
        let device = device.map(|device| device.as_uuid());
        let limit = i64::from(limit);
        let connection = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 4] = [&tenant, &device, &Json(labels), &limit];
        let rows = self.bounded(connection.query(&list(), &values)).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        Ok(rows.iter().map(device_row).collect())
    }
}

fn newest_per_device<'a>(
    writes: &[HeartbeatWrite<'a>],
    candidates: &[usize],
    rule: &OfflineRule,
) -> Vec<Beat<'a>> {
    let mut newest: HashMap<(TenantId, DeviceId), usize> = HashMap::new();
    for &index in candidates {
        let held = newest.entry(writes[index].place()).or_insert(index);
        let made = |index: usize| (writes[index].received, writes[index].heartbeat.at);
        if made(*held) < made(index) {
            *held = index;
        }
    }
    let beat = |index: usize| {
        let write = writes[index];
        Beat { index, write, offline_after_ms: rule.offline_after_ms(write.heartbeat) }
    };
    let mut beats: Vec<Beat<'_>> = newest.into_values().map(beat).collect();
    // One order for all replicas, so that their upserts cannot deadlock.
    beats.sort_by_key(Beat::place);
    beats
}

async fn upsert(connection: &Object, sql: &str, beats: &[Beat<'_>]) -> Result<(), Error> {
    let statement = connection.prepare_cached(sql).await?;
    let heartbeats = || beats.iter().map(|beat| beat.write.heartbeat);
    let tenants: Vec<_> = heartbeats().map(|h| h.tenant.as_uuid()).collect();
    let devices: Vec<_> = heartbeats().map(|h| h.device.as_uuid()).collect();
    let received: Vec<i64> = beats.iter().map(|beat| beat.write.received.get()).collect();
    let offsets: Vec<i64> =
        beats.iter().map(|beat| beat.write.heartbeat.at.since(beat.write.received)).collect();
    let offline_after: Vec<i64> = beats.iter().map(|beat| beat.offline_after_ms).collect();
    let sessions: Vec<_> = heartbeats().map(|h| h.session.as_deref()).collect();
    let versions: Vec<_> = heartbeats().map(|h| h.agent_version.as_deref()).collect();
    let details: Vec<_> = heartbeats().map(|h| &*h.details).collect();
    connection
        .execute(
            &statement,
            &[
                &tenants,
                &devices,
                &received,
                &offsets,
                &offline_after,
                &sessions,
                &versions,
                &details,
            ],
        )
        .await
        .map(drop)
}

fn device_row(row: &tokio_postgres::Row) -> DeviceRow {
    DeviceRow {
        tenant: TenantId::new(row.get(0)),
        device: DeviceId::new(row.get(1)),
        online: row.get(2),
        last_online_change: UnixMillis::new(row.get(3)),
        last_heartbeat: UnixMillis::new(row.get(4)),
        clock_offset_ms: row.get(5),
        agent_version: row.get(6),
        session: row.get(7),
        labels: row.get::<_, Json<_>>(8).0,
    }
}
