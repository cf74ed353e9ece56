//! Reading commands: the list, one of them with its way, and its output.

use protocol::{CommandId, DeviceId, TenantId, UnixMillis};
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use utoipa::ToSchema;
use uuid::Uuid;

use super::CommandState;
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Which commands to read, newest first; what is not given does not matter, but for the limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandFilter<'a> {
    /// Of this tenant only.
    pub tenant: Option<TenantId>,
    /// To this device only.
    pub device: Option<DeviceId>,
    /// In this state only.
    pub state: Option<CommandState>,
    /// Sent together under this id only.
    pub batch: Option<Uuid>,
    /// Of this kind only.
    pub kind: Option<&'a str>,
    /// Ordered before this place only.
    pub before: Option<i64>,
    /// Most rows.
    pub limit: u32,
}

/// A command as operators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CommandRow {
    /// Which.
    #[schema(value_type = Uuid)]
    pub command: CommandId,
    /// Whose device.
    #[schema(value_type = Uuid)]
    pub tenant: TenantId,
    /// Which device.
    #[schema(value_type = Uuid)]
    pub device: DeviceId,
    /// The same of those that were sent together.
    pub batch: Uuid,
    /// Place in the order of ordering.
    pub position: i64,
    /// What to do.
    pub kind: String,
    /// With what.
    #[schema(value_type = Object)]
    pub arguments: Value,
    /// How long it may run, in milliseconds.
    pub timeout_ms: i64,
    /// Who ordered it.
    pub requester: String,
    /// Whether its device hears commands by subscription, unsigned.
    pub first_generation: bool,
    /// When it was made, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    /// From when on no device takes it, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
    /// When its stream confirmed it, in milliseconds since 1970; none: it waits to be published.
    #[schema(value_type = Option<i64>)]
    pub published_at: Option<UnixMillis>,
    /// How far it is.
    pub state: CommandState,
    /// When it reached that, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub changed_at: UnixMillis,
    /// Whether it ended by our clock, not by the device's word.
    pub assumed: bool,
    /// Why it did not succeed: a code of docs/commands.md.
    pub reason_code: Option<String>,
    /// The same in words.
    pub reason_text: Option<String>,
    /// Whether its device answered more than is kept, beyond what the device itself left out.
    pub answers_cut: bool,
}

/// A state that a command reached.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Transition {
    /// Which.
    pub state: CommandState,
    /// When, by our clock, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub at: UnixMillis,
    /// When, by the device's clock, where it told it.
    #[schema(value_type = Option<i64>)]
    pub device_at: Option<UnixMillis>,
    /// Who moved it.
    pub by: String,
}

/// What a device said at a command's end.
#[derive(Clone, Debug, Default)]
pub struct CommandEnd {
    /// What came of it; none: nothing to say, or no word yet.
    pub result: Option<Value>,
    /// The number of that answer: output has lower ones.
    pub number: Option<i64>,
}

/// A piece of a command's output.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CommandOutput {
    /// Its number among the command's events.
    pub number: i64,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The text.
    pub chunk: String,
    /// Whether the device left out what followed.
    pub cut: bool,
}

const COLUMNS: &str = "
command_uuid, tenant_uuid, device_uuid, batch_uuid, position, kind, arguments, timeout_ms, requester,
first_generation,
floor(extract(epoch from created_at) * 1000)::bigint,
floor(extract(epoch from expires_at) * 1000)::bigint,
floor(extract(epoch from published_at) * 1000)::bigint,
state,
floor(extract(epoch from changed_at) * 1000)::bigint,
assumed, reason_code, reason_text,
exists (select from command_answers a where a.command_uuid = commands.command_uuid and a.cut)";

fn list() -> String {
    format!(
        "select {COLUMNS} from commands
         where ($1::uuid is null or tenant_uuid = $1)
           and ($2::uuid is null or device_uuid = $2)
           and ($3::text is null or state = $3)
           and ($4::uuid is null or batch_uuid = $4)
           and ($5::text is null or kind = $5)
           and ($6::bigint is null or position < $6)
         order by position desc
         limit $7"
    )
}

const TRANSITIONS: &str = "
select state, floor(extract(epoch from at) * 1000)::bigint,
       floor(extract(epoch from device_at) * 1000)::bigint, moved_by
from command_transitions where command_uuid = $1
order by wegweiser_command_rank(state), at";

/// What a device sent twice is there twice, under two ids.
const OUTPUT: &str = "
select distinct on (number) number, stream, chunk, cut
from (select case when payload ->> 'event' = 'output'
                  then (payload ->> 'number')::bigint end as number,
             coalesce(payload ->> 'stream', 'stdout') as stream,
             payload ->> 'chunk' as chunk,
             coalesce(payload -> 'cut' = 'true', false) as cut,
             id
      from device_realtime_data
      where command_id = $1 and tenant_uuid = $2 and device_uuid = $3
        and payload ->> 'event' = 'output') as said
where number > $4
order by number, id
limit $5";

const RESULT: &str = "
select payload -> 'result',
       case when payload ->> 'number' ~ '^[0-9]{1,9}$' then (payload ->> 'number')::bigint end
from device_realtime_data
where command_id = $1 and tenant_uuid = $2 and device_uuid = $3 and data_type = 'response'
order by id
limit 1";

impl Records {
    /// Commands, newest first.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn commands(
        &self,
        filter: CommandFilter<'_>,
    ) -> Result<Vec<CommandRow>, Unavailable> {
        let tenant = filter.tenant.map(|tenant| tenant.as_uuid());
        let device = filter.device.map(|device| device.as_uuid());
        let state = filter.state.map(CommandState::as_str);
        let limit = i64::from(filter.limit);
        let values: [&(dyn ToSql + Sync); 7] =
            [&tenant, &device, &state, &filter.batch, &filter.kind, &filter.before, &limit];
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(&list(), &values)).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }

    /// Those of these commands that have ended.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn ended_commands(&self, ids: &[CommandId]) -> Result<Vec<CommandRow>, Unavailable> {
        let ids: Vec<Uuid> = ids.iter().map(CommandId::as_uuid).collect();
        let sql = format!(
            "select {COLUMNS} from commands
             where command_uuid = any($1) and wegweiser_command_rank(state) = 3"
        );
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(&sql, &[&ids])).await?;
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }

    /// One command, or `None` where there is none.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn command(&self, id: CommandId) -> Result<Option<CommandRow>, Unavailable> {
        let sql = format!("select {COLUMNS} from commands where command_uuid = $1");
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_opt(&sql, &[&id.as_uuid()])).await?;
        Ok(row.map_err(|error| unavailable(&error))?.as_ref().map(read))
    }

    /// The states that a command reached, in their order.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn command_transitions(
        &self,
        command: CommandId,
    ) -> Result<Vec<Transition>, Unavailable> {
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(TRANSITIONS, &[&command.as_uuid()])).await?;
        let read = |row: &Row| Transition {
            state: CommandState::read(row.get(0)),
            at: UnixMillis::new(row.get(1)),
            device_at: row.get::<_, Option<i64>>(2).map(UnixMillis::new),
            by: row.get(3),
        };
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }

    /// A command's output in its order, each piece once, from the one after `after` on (-1: from
    /// the start).
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn command_output(
        &self,
        of: &CommandRow,
        after: i64,
        limit: u32,
    ) -> Result<Vec<CommandOutput>, Unavailable> {
        let (id, limit) = (of.command.to_string(), i64::from(limit));
        let (tenant, device) = (of.tenant.as_uuid(), of.device.as_uuid());
        let values: [&(dyn ToSql + Sync); 5] = [&id, &tenant, &device, &after, &limit];
        let connection = self.connection().await?;
        let rows = self.bounded(connection.query(OUTPUT, &values)).await?;
        let read = |row: &Row| CommandOutput {
            number: row.get(0),
            stream: row.get(1),
            chunk: row.get(2),
            cut: row.get(3),
        };
        Ok(rows.map_err(|error| unavailable(&error))?.iter().map(read).collect())
    }

    /// What a command's device said at its end, if it did.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn command_end(&self, of: &CommandRow) -> Result<CommandEnd, Unavailable> {
        let id = of.command.to_string();
        let (tenant, device) = (of.tenant.as_uuid(), of.device.as_uuid());
        let values: [&(dyn ToSql + Sync); 3] = [&id, &tenant, &device];
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_opt(RESULT, &values)).await?;
        let row = row.map_err(|error| unavailable(&error))?;
        let Some(row) = row else { return Ok(CommandEnd::default()) };
        let result = row.get::<_, Option<Json<Value>>>(0).map(|result| result.0);
        Ok(CommandEnd { result, number: row.get(1) })
    }
}

fn read(row: &Row) -> CommandRow {
    CommandRow {
        command: CommandId::new(row.get(0)),
        tenant: TenantId::new(row.get(1)),
        device: DeviceId::new(row.get(2)),
        batch: row.get(3),
        position: row.get(4),
        kind: row.get(5),
        arguments: row.get::<_, Json<Value>>(6).0,
        timeout_ms: row.get(7),
        requester: row.get(8),
        first_generation: row.get(9),
        created_at: UnixMillis::new(row.get(10)),
        expires_at: UnixMillis::new(row.get(11)),
        published_at: row.get::<_, Option<i64>>(12).map(UnixMillis::new),
        state: CommandState::read(row.get(13)),
        changed_at: UnixMillis::new(row.get(14)),
        assumed: row.get(15),
        reason_code: row.get(16),
        reason_text: row.get(17),
        answers_cut: row.get(18),
    }
}
