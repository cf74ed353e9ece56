//! The outbox for agents of the first generation, which have no journal: what reaches them twice
//! is done twice.
//!
//! Promises: a command is claimed before it is published, one of a device at a time; if whoever
//! claimed it dies, the next one is told that it may be out (`again`), and looks in the stream
//! before publishing. It leaves the outbox only while its device's heartbeats come, so that one
//! that is away gets its commands with its next heartbeat.

use protocol::Posting;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::outbox::{PUBLISH_MAX_COMMANDS, PUBLISHED, Posted, posting, sequence};
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Agents of the first generation send a heartbeat every 30 s: who missed one is not there now.
const HEARD_WITHIN_SECONDS: f64 = 45.0;
/// A claim that is older is of somebody who died: publishing takes some seconds at most.
const CLAIM_HOLDS_SECONDS: f64 = 60.0;

const CLAIM: &str = "
with first as (
    select c.command_uuid, c.claimed_at is not null as again
    from commands c
    join tenants t on t.tenant_uuid = c.tenant_uuid and t.first_generation_commands
    join device_connectivity d on d.tenant_uuid = c.tenant_uuid and d.device_uuid = c.device_uuid
    where c.first_generation and c.published_at is null and c.state = 'queued'
      and c.expires_at > clock_timestamp()
      and d.last_heartbeat > clock_timestamp() - make_interval(secs => $2)
      and (c.claimed_at is null or c.claimed_at < clock_timestamp() - make_interval(secs => $3))
      and not exists (
          select from commands before
          where before.device_uuid = c.device_uuid and before.published_at is null
            and before.state = 'queued' and before.first_generation
            and before.expires_at > clock_timestamp() and before.position < c.position)
    order by c.position
    limit $1
    for update of c skip locked
)
update commands c set claimed_at = clock_timestamp()
from first
where c.command_uuid = first.command_uuid
returning c.command_uuid, c.tenant_uuid, c.device_uuid, c.message,
          floor(extract(epoch from c.expires_at) * 1000)::bigint, c.traceparent, first.again";

impl Records {
    /// As [`Records::publish_commands`], for agents of the first generation whose heartbeats come:
    /// one command of each, so call it again while it returns some.
    ///
    /// # Errors
    /// Postgres is away or ill; what was published meanwhile is found in the stream.
    pub async fn publish_first_generation(
        &self,
        publish: impl AsyncFnOnce(Vec<Posting>) -> Vec<Posted>,
    ) -> Result<Vec<Posted>, Unavailable> {
        let connection = self.connection().await?;
        let values: [&(dyn ToSql + Sync); 3] =
            [&PUBLISH_MAX_COMMANDS, &HEARD_WITHIN_SECONDS, &CLAIM_HOLDS_SECONDS];
        let rows = self.bounded(connection.query(CLAIM, &values)).await?;
        let rows = rows.map_err(|error| unavailable(&error))?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let postings = rows.iter().map(|row| posting(row, row.get(6))).collect();
        let posted = publish(postings).await;
        let ids: Vec<Uuid> = posted.iter().map(|(id, _)| id.as_uuid()).collect();
        let sequences: Vec<i64> = posted.iter().map(|(_, at)| sequence(*at)).collect();
        let settled = self.bounded(connection.execute(PUBLISHED, &[&ids, &sequences])).await?;
        settled.map_err(|error| unavailable(&error))?;
        Ok(posted)
    }
}
