//! Ordering: a command's row, which is also the outbox of its message.

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

impl Records {
    /// Orders commands that belong together, all or none; they are published from here on,
    /// whatever becomes of the caller. Where a trace is recorded, they go on with it.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated; nothing is ordered then.
    pub async fn order_commands(
        &self,
        batch: Uuid,
        requester: &str,
        commands: &[NewCommand],
    ) -> Result<(), Unavailable> {
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
        let connection = self.connection().await?;
        let ordering = self.bounded(connection.execute(ORDER, &values));
        let ordered = traces::insert("commands", commands.len(), ordering).await?;
        ordered.map(drop).map_err(|error| unavailable(&error))
    }
}
