//! Online and offline: a device is offline when its heartbeats are missing from the *stream*.

use std::time::Duration;

use protocol::{DeviceId, Heartbeat, TenantId, UnixMillis};

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// When silence means offline.
#[derive(Clone, Copy, Debug)]
pub struct OfflineRule {
    /// Silence after which a device is offline whose agent announces no interval.
    pub silence: Duration,
    /// Missed heartbeats of the announced interval after which a device is offline.
    pub missed_heartbeats: u32,
}

impl OfflineRule {
    pub(crate) fn offline_after_ms(&self, heartbeat: &Heartbeat) -> i64 {
        match heartbeat.interval_ms {
            Some(interval) => i64::from(interval) * i64::from(self.missed_heartbeats),
            None => i64::try_from(self.silence.as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// A device that this call marked offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WentOffline {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// When the broker took its last heartbeat.
    pub last_heartbeat: UnixMillis,
}

/// How many devices are where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceCounts {
    /// Devices whose heartbeats arrive.
    pub online: i64,
    /// Devices that ever sent a heartbeat.
    pub devices: i64,
}

/// Row locks make sure that of several replicas exactly one marks a device.
const SWEEP: &str = "
with silent as (
    update device_connectivity
    set is_online = false, last_online_change = to_timestamp($1::bigint / 1000.0)
    where is_online
      and greatest(last_heartbeat, to_timestamp($2::bigint / 1000.0))
          + offline_after_ms * interval '1 millisecond' < to_timestamp($1::bigint / 1000.0)
    returning tenant_uuid, device_uuid, last_online_change, last_heartbeat
), noted as (
    insert into device_connectivity_changes (tenant_uuid, device_uuid, changed_at, is_online)
    select tenant_uuid, device_uuid, last_online_change, false from silent
)
select tenant_uuid, device_uuid, floor(extract(epoch from last_heartbeat) * 1000)::bigint
from silent";

impl Records {
    /// Marks devices offline that were silent for too long before `horizon`: the broker's time
    /// up to which every heartbeat of the stream has been applied. Silence counts from
    /// `reachable_since` at the earliest: before it, nobody could send.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn mark_silent_devices(
        &self,
        horizon: UnixMillis,
        reachable_since: UnixMillis,
    ) -> Result<Vec<WentOffline>, Unavailable> {
        let connection = self.connection().await?;
        let rows = self
            .bounded(connection.query(SWEEP, &[&horizon.get(), &reachable_since.get()]))
            .await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        let read = |row: &tokio_postgres::Row| WentOffline {
            tenant: TenantId::new(row.get(0)),
            device: DeviceId::new(row.get(1)),
            last_heartbeat: UnixMillis::new(row.get(2)),
        };
        Ok(rows.iter().map(read).collect())
    }

    /// How many devices are online, and how many there are.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn presence_counts(&self) -> Result<PresenceCounts, Unavailable> {
        let connection = self.connection().await?;
        let sql = "select count(*) filter (where is_online), count(*) from device_connectivity";
        let row = self.bounded(connection.query_one(sql, &[])).await?;
        let row = row.map_err(|error| unavailable(&error))?;
        Ok(PresenceCounts { online: row.get(0), devices: row.get(1) })
    }
}
