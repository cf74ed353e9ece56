//! The outbox: ordered commands that no stream has confirmed yet.
//!
//! Promises: a command stays in it until its stream has confirmed, whatever dies between; any
//! number of processes may empty it, and none waits for another; a device's commands leave it in
//! their order, since the process that holds a device's first has the others too. A command that
//! was published and not marked is published again under the same id, which the stream takes once;
//! past the stream's memory of ids the device's journal knows it.

use std::collections::BTreeSet;

use deadpool_postgres::Transaction;
use protocol::{CommandId, DeviceId, Posting, TenantId, UnixMillis};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Most commands that are taken out of the outbox at one time.
pub(super) const PUBLISH_MAX_COMMANDS: i64 = 500;

/// The first waiting command of each device, but for those that somebody else has in hand.
const FIRST_OF_DEVICES: &str = "
select c.device_uuid
from commands c
where c.published_at is null and c.state = 'queued' and not c.first_generation
  and c.expires_at > clock_timestamp()
  and not exists (
      select from commands before
      where before.device_uuid = c.device_uuid and before.published_at is null
        and before.state = 'queued' and not before.first_generation
        and before.expires_at > clock_timestamp() and before.position < c.position)
order by c.position
limit $1
for update of c skip locked";

const OF_DEVICES: &str = "
select c.command_uuid, c.tenant_uuid, c.device_uuid, c.message,
       floor(extract(epoch from c.expires_at) * 1000)::bigint, c.traceparent
from commands c
where c.device_uuid = any($1) and c.published_at is null and c.state = 'queued'
  and not c.first_generation and c.expires_at > clock_timestamp()
order by c.position
limit $2
for update of c";

pub(super) const PUBLISHED: &str = "
update commands c set published_at = clock_timestamp(), stream_sequence = p.sequence
from unnest($1::uuid[], $2::bigint[]) as p(command_uuid, sequence)
where c.command_uuid = p.command_uuid";

/// A command that its stream has, and its place there.
pub(super) type Posted = (CommandId, u64);

impl Records {
    /// Takes commands out of the outbox through `publish`, which answers with those that the
    /// stream has confirmed; the others stay. Returns how many left it.
    ///
    /// # Errors
    /// Postgres is away or ill; what was published meanwhile is published again.
    pub async fn publish_commands(
        &self,
        publish: impl AsyncFnOnce(Vec<Posting>) -> Vec<Posted>,
    ) -> Result<usize, Unavailable> {
        let mut connection = self.connection().await?;
        let begun = self.bounded(connection.transaction()).await?;
        let transaction = begun.map_err(|error| unavailable(&error))?;
        let postings = self.take(&transaction).await?;
        if postings.is_empty() {
            return Ok(0);
        }
        let posted = publish(postings).await;
        let ids: Vec<Uuid> = posted.iter().map(|(id, _)| id.as_uuid()).collect();
        let sequences: Vec<i64> = posted.iter().map(|(_, at)| sequence(*at)).collect();
        let values: [&(dyn ToSql + Sync); 2] = [&ids, &sequences];
        let marked = self.bounded(transaction.execute(PUBLISHED, &values)).await?;
        marked.map_err(|error| unavailable(&error))?;
        self.bounded(transaction.commit()).await?.map_err(|error| unavailable(&error))?;
        Ok(posted.len())
    }

    async fn take(&self, transaction: &Transaction<'_>) -> Result<Vec<Posting>, Unavailable> {
        let most: [&(dyn ToSql + Sync); 1] = [&PUBLISH_MAX_COMMANDS];
        let firsts = self.bounded(transaction.query(FIRST_OF_DEVICES, &most)).await?;
        let firsts = firsts.map_err(|error| unavailable(&error))?;
        let devices: BTreeSet<Uuid> = firsts.iter().map(|row| row.get(0)).collect();
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let devices: Vec<Uuid> = devices.into_iter().collect();
        let values: [&(dyn ToSql + Sync); 2] = [&devices, &PUBLISH_MAX_COMMANDS];
        let rows = self.bounded(transaction.query(OF_DEVICES, &values)).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        Ok(rows.iter().map(|row| posting(row, false)).collect())
    }
}

/// Broker sequences never come near this column's end.
pub(super) fn sequence(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

pub(super) fn posting(row: &Row, again: bool) -> Posting {
    Posting {
        command: CommandId::new(row.get(0)),
        tenant: TenantId::new(row.get(1)),
        device: DeviceId::new(row.get(2)),
        message: row.get(3),
        expires: UnixMillis::new(row.get(4)),
        traceparent: row.get(5),
        again,
    }
}
