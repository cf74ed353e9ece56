//! Taking a command back, wherever it is.
//!
//! Promises: what was not published goes at once, and is never published; what was published and
//! given to nobody goes with its message; to a device that may have it goes a command of its own,
//! `agent.cancel`, and what the device says then is what became of it.

use std::time::{Duration, SystemTime};

use identity::CommandSigner;
use protocol::command::Cancel;
use protocol::limits::COMMAND_LIFE_MAX_MS;
use protocol::{CommandId, DeviceId, Order, TenantId};
use serde::Serialize;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MOVED_BY_US, NotOrdered, NotPrepared, RECORD, TargetFilter, WantedOrder};
use crate::audit::AuditEntry;
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;
use crate::traces;

/// How long the order to end a command waits for a device that is away: as long as any command.
const LIFE: Duration = Duration::from_millis(COMMAND_LIFE_MAX_MS.unsigned_abs());

/// What became of a command that somebody wants back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Cancelled {
    /// Its device was never given it, and never will be.
    Cancelled,
    /// It had ended before.
    EndedBefore,
    /// Its device may have it, and is told by this command to end it.
    Asked {
        /// The command that tells it.
        #[schema(value_type = Uuid)]
        by: CommandId,
    },
    /// Its device is of the first generation, was sent it, and knows no taking back.
    CannotBeReached,
}

/// Why a command was not taken back.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// Postgres is away, ill or not migrated.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The broker is.
    #[error("the broker was not asked: {0}")]
    Broker(String),
    /// Its device cannot be told.
    #[error(transparent)]
    NotPrepared(#[from] NotPrepared),
    /// Too much waits for it already.
    #[error("its device is not told to end it: {0}")]
    NotOrdered(#[from] NotOrdered),
    /// There is no such command.
    #[error("command {0} is unknown; see: wegweiser command list")]
    Unknown(CommandId),
}

/// Where a command is that was published.
struct Sent {
    tenant: TenantId,
    device: DeviceId,
    /// Its place in the stream; `None`: somebody is publishing it.
    sequence: Option<u64>,
    first_generation: bool,
    ended: bool,
}

fn cancel(more: &str) -> String {
    format!(
        "
with moved as (
    update commands c set state = 'cancelled', changed_at = clock_timestamp(), moved_by = $1,
           assumed = c.published_at is not null, reason_code = 'cancelled',
           reason_text = 'taken back by ' || $1::text
    where c.command_uuid = $2 and c.state = 'queued' {more}
    returning {MOVED_BY_US}
), {RECORD}"
    )
}

/// One that is claimed for an agent of the first generation may be out.
const NOT_SENT: &str = "and c.published_at is null and c.claimed_at is null";

const WHERE: &str = "
select tenant_uuid, device_uuid, stream_sequence, first_generation,
       wegweiser_command_rank(state) = 3
from commands where command_uuid = $1";

impl Records {
    /// Takes a command back. `take_out` removes what is at that place of the stream where the
    /// device was not given it, and tells whether it did.
    ///
    /// # Errors
    /// See [`CancelError`]; asking again does the rest.
    pub async fn cancel_command(
        &self,
        command: CommandId,
        who: &str,
        signer: &CommandSigner,
        take_out: impl AsyncFnOnce(DeviceId, u64) -> Result<bool, String>,
    ) -> Result<Cancelled, CancelError> {
        if self.cancel_where(command, who, NOT_SENT).await? {
            return Ok(Cancelled::Cancelled);
        }
        let Some(sent) = self.sent(command).await? else {
            return Err(CancelError::Unknown(command));
        };
        if sent.ended {
            return Ok(Cancelled::EndedBefore);
        }
        if sent.first_generation {
            return Ok(Cancelled::CannotBeReached);
        }
        if let Some(sequence) = sent.sequence
            && take_out(sent.device, sequence).await.map_err(CancelError::Broker)?
            && self.cancel_where(command, who, "").await?
        {
            return Ok(Cancelled::Cancelled);
        }
        let by = self.tell_device(command, who, signer, &sent).await?;
        Ok(Cancelled::Asked { by })
    }

    async fn tell_device(
        &self,
        command: CommandId,
        who: &str,
        signer: &CommandSigner,
        sent: &Sent,
    ) -> Result<CommandId, CancelError> {
        let Sent { tenant, device, .. } = *sent;
        let devices = Some(vec![device]);
        let filter = TargetFilter { tenant: Some(tenant), devices, ..TargetFilter::default() };
        let target = self.command_targets(&filter, 1).await?.pop();
        let target = target.ok_or(NotPrepared::ShutOut(device))?;
        let wanted = WantedOrder {
            order: Order::Cancel(Cancel { command_id: command }),
            timeout: None,
            life: LIFE,
            requester: who.to_owned(),
        };
        let order = wanted.prepare(&target, signer)?;
        let by = order.command;
        self.audit(&[AuditEntry {
            who: who.to_owned(),
            action: "command cancel",
            object: format!("command {command}"),
            detail: serde_json::json!({
                "tenant": tenant, "device": device, "outcome": "asked", "by": by,
            }),
        }])
        .await?;
        self.order_commands(Uuid::now_v7(), who, &[order]).await?;
        Ok(by)
    }

    async fn sent(&self, command: CommandId) -> Result<Option<Sent>, Unavailable> {
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_opt(WHERE, &[&command.as_uuid()])).await?;
        let Some(row) = row.map_err(|error| unavailable(&error))? else { return Ok(None) };
        let sequence: Option<i64> = row.get(2);
        Ok(Some(Sent {
            tenant: TenantId::new(row.get(0)),
            device: DeviceId::new(row.get(1)),
            sequence: sequence.and_then(|at| u64::try_from(at).ok()),
            first_generation: row.get(3),
            ended: row.get(4),
        }))
    }

    async fn cancel_where(
        &self,
        command: CommandId,
        who: &str,
        more: &str,
    ) -> Result<bool, Unavailable> {
        let connection = self.connection().await?;
        let id = command.as_uuid();
        let values: [&(dyn ToSql + Sync); 2] = [&who, &id];
        let began = SystemTime::now();
        let moved = self.bounded(connection.query(&cancel(more), &values)).await?;
        let moved = moved.map_err(|error| unavailable(&error))?;
        traces::moved(&moved, began);
        Ok(!moved.is_empty())
    }
}
