//! Figures about the whole fleet, for monitoring: bounded in number, whatever its size.

use std::time::Duration;

use protocol::TenantId;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Devices of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantCounts {
    /// Which; `None`: all tenants that are not named.
    pub tenant: Option<TenantId>,
    /// Devices whose heartbeats arrive.
    pub online: i64,
    /// Devices that ever sent a heartbeat.
    pub devices: i64,
}

/// What may need somebody's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Devices online whose clock is off.
    pub clock_off: i64,
    /// Active devices whose newest credential ends soon or has ended.
    pub credentials_ending: i64,
}

const BY_TENANT: &str = "
select tenant_uuid, count(*) filter (where is_online), count(*)
from device_connectivity
group by tenant_uuid
order by count(*) desc, tenant_uuid";

const ATTENTION: &str = "
select (select count(*) from device_connectivity
        where is_online and abs(clock_offset_ms) > $1::bigint),
       (select count(*) from devices
        where state = 'active' and expires_at < now() + $2::bigint * interval '1 second')";

impl Records {
    /// Devices by tenant: the `named` tenants with the most devices, and the others together where
    /// there are more.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn devices_by_tenant(&self, named: usize) -> Result<Vec<TenantCounts>, Unavailable> {
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(BY_TENANT, &[])).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        let read = |row: &tokio_postgres::Row| TenantCounts {
            tenant: Some(TenantId::new(row.get(0))),
            online: row.get(1),
            devices: row.get(2),
        };
        let (first, rest) = rows.split_at(named.min(rows.len()));
        let mut counts: Vec<TenantCounts> = first.iter().map(read).collect();
        if !rest.is_empty() {
            let (online, devices) = rest.iter().map(read).fold((0, 0), |(online, devices), one| {
                (online + one.online, devices + one.devices)
            });
            counts.push(TenantCounts { tenant: None, online, devices });
        }
        Ok(counts)
    }

    /// Devices whose clock is off by more than `clock_off`, and credentials that end within
    /// `ending`.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn attention(
        &self,
        clock_off: Duration,
        ending: Duration,
    ) -> Result<Attention, Unavailable> {
        let connection = self.connection().await?;
        let clock_off_ms = i64::try_from(clock_off.as_millis()).unwrap_or(i64::MAX);
        let ending_s = i64::try_from(ending.as_secs()).unwrap_or(i64::MAX);
        let row =
            self.bounded(connection.query_one(ATTENTION, &[&clock_off_ms, &ending_s])).await?;
        let row = row.map_err(|error| unavailable(&error))?;
        Ok(Attention { clock_off: row.get(0), credentials_ending: row.get(1) })
    }

    /// Connections of the pool to Postgres: in use, open, and requests that wait for one.
    #[must_use]
    pub fn pool_use(&self) -> PoolUse {
        let status = self.pool.status();
        PoolUse {
            in_use: status.size.saturating_sub(status.available),
            open: status.size,
            most: status.max_size,
            waiting: status.waiting,
        }
    }
}

/// How busy the connection pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// Connections that somebody holds.
    pub in_use: usize,
    /// Connections that are open.
    pub open: usize,
    /// Most connections.
    pub most: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}
