//! The books, device by device.

use protocol::{DeviceId, SessionId, TenantId, UnixMillis};
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::{DeviceSession, NumberRun, Told};
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Devices of one page.
const PAGE_DEVICES: i64 = 500;

/// What Postgres knows of one run of a device's agent.
#[derive(Clone, Debug)]
pub struct LedgerRow {
    /// Which run.
    pub of: DeviceSession,
    /// What the device said of it, and when the broker took that; none where it never did.
    pub told: Option<(UnixMillis, Told)>,
    /// What is stored, by kind.
    pub stored: Vec<StoredNumbers>,
}

/// Stored numbers of one kind.
#[derive(Clone, Debug)]
pub struct StoredNumbers {
    /// `metric`, `heartbeat`, `monitoring` or `response`.
    pub kind: String,
    /// In ascending order, with a gap between each two.
    pub runs: Vec<NumberRun>,
    /// Whether none was left out for its gaps.
    pub complete: bool,
}

/// A place in the order of devices.
pub type LedgerPlace = (TenantId, DeviceId);

const DEVICES: &str = "
select tenant_uuid, device_uuid from (
    select tenant_uuid, device_uuid from device_ledger
    union
    select tenant_uuid, device_uuid from device_ledger_told
) known
where ($1::uuid is null or tenant_uuid = $1) and ($2::uuid is null or device_uuid = $2)
  and (tenant_uuid, device_uuid) > ($3, $4)
order by tenant_uuid, device_uuid
limit $5";

const SESSIONS: &str = "
with device as (select * from unnest($1::uuid[], $2::uuid[]) as d(tenant_uuid, device_uuid))
select tenant_uuid, device_uuid, session_id, kind, complete,
       array(select lower(run) from unnest(stored) run order by 1),
       array(select upper(run) - 1 from unnest(stored) run order by 1),
       null::bigint, null::jsonb
from device_ledger join device using (tenant_uuid, device_uuid)
union all
select tenant_uuid, device_uuid, session_id, '', true, '{}', '{}',
       floor(extract(epoch from told_at) * 1000)::bigint, told
from device_ledger_told join device using (tenant_uuid, device_uuid)
order by 1, 2, 3, 4";

const DISCARDED: &str = "
select detail ->> 'subject', detail ->> 'message_id' from audit_log
where action = 'dlq discard' and detail ->> 'message_id' <> '' and detail ->> 'subject' <> ''
  and ($1::text is null or detail ->> 'subject' like '%' || $1 || '%')
  and ($2::text is null or detail ->> 'subject' like '%' || $2 || '%')";

impl Records {
    /// The books of some devices in the order of tenant and device, those after `after`; and after
    /// which to go on, until there are no more.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn ledger(
        &self,
        tenant: Option<TenantId>,
        device: Option<DeviceId>,
        after: Option<LedgerPlace>,
    ) -> Result<(Vec<LedgerRow>, Option<LedgerPlace>), Unavailable> {
        let tenant = tenant.map(|tenant| tenant.as_uuid());
        let device = device.map(|device| device.as_uuid());
        let (after_tenant, after_device) = after
            .map_or((Uuid::nil(), Uuid::nil()), |(tenant, device)| {
                (tenant.as_uuid(), device.as_uuid())
            });
        let connection = self.connection().await?;
        let devices = self
            .bounded(
                connection.query(
                    DEVICES,
                    &[&tenant, &device, &after_tenant, &after_device, &PAGE_DEVICES],
                ),
            )
            .await?
            .map_err(|error| unavailable(&error))?;
        let tenants: Vec<Uuid> = devices.iter().map(|row| row.get(0)).collect();
        let devices: Vec<Uuid> = devices.iter().map(|row| row.get(1)).collect();
        let rows = self.bounded(connection.query(SESSIONS, &[&tenants, &devices])).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        let mut ledger: Vec<LedgerRow> = Vec::new();
        for row in &rows {
            add(&mut ledger, row);
        }
        let full = i64::try_from(devices.len()) == Ok(PAGE_DEVICES);
        let last = tenants.last().zip(devices.last()).filter(|_| full);
        Ok((ledger, last.map(|(tenant, device)| (TenantId::new(*tenant), DeviceId::new(*device)))))
    }

    /// Subject and message id of dead letters that operators discarded.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn discarded_letters(
        &self,
        tenant: Option<TenantId>,
        device: Option<DeviceId>,
    ) -> Result<Vec<(String, String)>, Unavailable> {
        let tenant = tenant.map(|tenant| tenant.to_string());
        let device = device.map(|device| device.to_string());
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(DISCARDED, &[&tenant, &device])).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// Adds a row of [`SESSIONS`], which come session by session.
fn add(ledger: &mut Vec<LedgerRow>, row: &tokio_postgres::Row) {
    let of = DeviceSession {
        tenant: TenantId::new(row.get(0)),
        device: DeviceId::new(row.get(1)),
        session: SessionId::new(row.get(2)),
    };
    if ledger.last().is_none_or(|last| last.of != of) {
        ledger.push(LedgerRow { of, told: None, stored: Vec::new() });
    }
    let Some(session) = ledger.last_mut() else { return };
    if let (Some(at), Some(Json(told))) =
        (row.get::<_, Option<i64>>(7), row.get::<_, Option<Json<Told>>>(8))
    {
        session.told = Some((UnixMillis::new(at), told));
        return;
    }
    let number = |number: &i64| u64::try_from(*number).unwrap_or_default();
    let (first, last): (Vec<i64>, Vec<i64>) = (row.get(5), row.get(6));
    let runs = first.iter().zip(&last);
    let runs = runs.map(|(first, last)| NumberRun { of, first: number(first), last: number(last) });
    session.stored.push(StoredNumbers {
        kind: row.get(3),
        runs: runs.collect(),
        complete: row.get(4),
    });
}
