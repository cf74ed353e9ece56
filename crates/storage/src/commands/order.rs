//! Ordering: a command's row, which is also the outbox of its message.
//!
//! Promises: what waits of one device and of one requester is bounded, so that neither fills the
//! stream for all; orders of the same instant may pass a bound together, each by itself does not.

use std::collections::BTreeMap;

use deadpool_postgres::Object;
use protocol::{CommandId, DeviceId, TenantId, UnixMillis};
use runtime::trace;
use serde_json::Value;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;
use crate::traces;

/// Longest arguments that the audit log repeats, in bytes; the command's own row has all.
const AUDITED_ARGUMENTS_MAX_BYTES: i64 = 4_096;

/// Most commands that may wait for one device.
const DEVICE_WAITING_MAX_COMMANDS: i64 = 1_000;
/// Most bytes of their messages.
const DEVICE_WAITING_MAX_BYTES: i64 = 16 * 1024 * 1024;
/// Most bytes of messages that may wait of one requester, for all devices: a quarter of the stream.
const REQUESTER_WAITING_MAX_BYTES: i64 = 128 * 1024 * 1024;

/// Why nothing was ordered.
#[derive(Debug, thiserror::Error)]
pub enum NotOrdered {
    /// Postgres is away, ill or not migrated.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Too much waits for a device.
    #[error(
        "{commands} commands with {bytes} bytes would wait for device {device}, and \
         {DEVICE_WAITING_MAX_COMMANDS} with {DEVICE_WAITING_MAX_BYTES} may; wait until it has taken \
         some, or take some back; see: wegweiser command list --device {device} --state queued"
    )]
    DeviceFull {
        /// Which device.
        device: DeviceId,
        /// How many there would be.
        commands: i64,
        /// How long their messages would be.
        bytes: i64,
    },
    /// Too much of a requester's waits.
    #[error(
        "{bytes} bytes of commands of {requester:?} would wait, and {REQUESTER_WAITING_MAX_BYTES} \
         may; wait until devices have taken some, send a few at a time (--at-a-time), or take some \
         back; see: wegweiser command list --state queued"
    )]
    RequesterFull {
        /// Who orders.
        requester: String,
        /// How long the messages would be.
        bytes: i64,
    },
}

/// A command that is to be sent.
#[derive(Clone, Debug)]
pub struct NewCommand {
    /// Which.
    pub command: CommandId,
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// What to do.
    pub kind: String,
    /// With what.
    pub arguments: Value,
    /// How long it may run, in milliseconds.
    pub timeout_ms: i64,
    /// When it was made, in milliseconds since 1970.
    pub created_at: UnixMillis,
    /// From when on no device takes it, in milliseconds since 1970.
    pub expires_at: UnixMillis,
    /// Whether its device hears commands by subscription.
    pub first_generation: bool,
    /// What is published, byte for byte.
    pub message: String,
}

const ORDER: &str = "
with ordered as (
    insert into commands (command_uuid, tenant_uuid, device_uuid, batch_uuid, kind, arguments,
                          timeout_ms, requester, moved_by, first_generation, created_at, expires_at,
                          message, traceparent)
    select command_uuid, tenant_uuid, device_uuid, $1, kind, arguments, timeout_ms, $2, $2,
           first_generation, to_timestamp(created_ms / 1000.0), to_timestamp(expires_ms / 1000.0),
           message, $14::text
    from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::jsonb[], $8::bigint[],
                $9::bool[], $10::bigint[], $11::bigint[], $12::text[]) with ordinality
      as t(command_uuid, tenant_uuid, device_uuid, kind, arguments, timeout_ms, first_generation,
           created_ms, expires_ms, message, place)
    order by place
    returning *
), stamped as (
    insert into command_transitions (command_uuid, tenant_uuid, state, at, moved_by)
    select command_uuid, tenant_uuid, state, clock_timestamp(), requester from ordered
)
insert into audit_log (who, action, object, detail)
select requester, 'command send', 'command ' || command_uuid,
       jsonb_build_object('tenant', tenant_uuid, 'device', device_uuid, 'kind', kind,
                          'batch', batch_uuid, 'outcome', 'queued', 'arguments',
                          case when octet_length(arguments::text) <= $13::bigint then arguments
                               else to_jsonb('too long to repeat here'::text) end)
from ordered order by position";

const WAITING_OF_DEVICES: &str = "
select device_uuid, count(*), sum(octet_length(message))::bigint from commands
where device_uuid = any($1) and state = 'queued'
group by device_uuid";

const WAITING_OF_REQUESTER: &str = "
select coalesce(sum(octet_length(message)), 0)::bigint from commands
where requester = $1 and state = 'queued'";

impl Records {
    /// Orders commands that belong together, all or none; they are published from here on,
    /// whatever becomes of the caller. Where a trace is recorded, they go on with it.
    ///
    /// # Errors
    /// See [`NotOrdered`]; nothing is ordered then.
    pub async fn order_commands(
        &self,
        batch: Uuid,
        requester: &str,
        commands: &[NewCommand],
    ) -> Result<(), NotOrdered> {
        let connection = self.connection().await?;
        self.check_room(&connection, requester, commands).await?;
        let all = || commands.iter();
        let ids: Vec<Uuid> = all().map(|one| one.command.as_uuid()).collect();
        let tenants: Vec<Uuid> = all().map(|one| one.tenant.as_uuid()).collect();
        let devices: Vec<Uuid> = all().map(|one| one.device.as_uuid()).collect();
        let kinds: Vec<&str> = all().map(|one| one.kind.as_str()).collect();
        let arguments: Vec<Json<&Value>> = all().map(|one| Json(&one.arguments)).collect();
        let timeouts: Vec<i64> = all().map(|one| one.timeout_ms).collect();
        let first: Vec<bool> = all().map(|one| one.first_generation).collect();
        let created: Vec<i64> = all().map(|one| one.created_at.get()).collect();
        let expires: Vec<i64> = all().map(|one| one.expires_at.get()).collect();
        let messages: Vec<&str> = all().map(|one| one.message.as_str()).collect();
        let traceparent = trace::current_traceparent();
        let values: [&(dyn ToSql + Sync); 14] = [
            &batch,
            &requester,
            &ids,
            &tenants,
            &devices,
            &kinds,
            &arguments,
            &timeouts,
            &first,
            &created,
            &expires,
            &messages,
            &AUDITED_ARGUMENTS_MAX_BYTES,
            &traceparent,
        ];
        let ordering = self.bounded(connection.execute(ORDER, &values));
        let ordered = traces::insert("commands", commands.len(), ordering).await?;
        ordered.map_err(|error| unavailable(&error))?;
        Ok(())
    }

    async fn check_room(
        &self,
        connection: &Object,
        requester: &str,
        commands: &[NewCommand],
    ) -> Result<(), NotOrdered> {
        let mut wanted: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
        for command in commands {
            let (count, bytes) = wanted.entry(command.device.as_uuid()).or_default();
            *count += 1;
            *bytes += length(&command.message);
        }
        let all: i64 = wanted.values().map(|(_, bytes)| bytes).sum();
        let row = self.bounded(connection.query_one(WAITING_OF_REQUESTER, &[&requester])).await?;
        let bytes = row.map_err(|error| unavailable(&error))?.get::<_, i64>(0) + all;
        if bytes > REQUESTER_WAITING_MAX_BYTES {
            return Err(NotOrdered::RequesterFull { requester: requester.to_owned(), bytes });
        }
        let devices: Vec<Uuid> = wanted.keys().copied().collect();
        let rows = self.bounded(connection.query(WAITING_OF_DEVICES, &[&devices])).await?;
        for row in rows.map_err(|error| unavailable(&error))? {
            let (count, bytes) = wanted.entry(row.get(0)).or_default();
            *count += row.get::<_, i64>(1);
            *bytes += row.get::<_, i64>(2);
        }
        for (device, (commands, bytes)) in wanted {
            if commands > DEVICE_WAITING_MAX_COMMANDS || bytes > DEVICE_WAITING_MAX_BYTES {
                let device = DeviceId::new(device);
                return Err(NotOrdered::DeviceFull { device, commands, bytes });
            }
        }
        Ok(())
    }
}

/// Messages never come near this type's end.
fn length(message: &str) -> i64 {
    i64::try_from(message.len()).unwrap_or(i64::MAX)
}
