//! What devices answer moves their commands, in the statement that stores the answers.
//!
//! Promises: a late, repeated or shuffled event never sets a command back, and what was said last
//! is final; only an end that the device did not tell gives way: by our clock, or taken back. That
//! holds also where nothing says that the message is out, since its publisher may have died before
//! it noted that. An answer to no command of that device moves nothing. Rows are locked in one order
//! for all receivers, so that none waits for another in a circle.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::SystemTime;

use deadpool_postgres::Object;
use protocol::{CommandId, CommandResponse, ResponseEvent, UnixMillis};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{CommandState, RECORD};
use crate::traces;

/// One command's way within a batch of answers.
struct Move<'a> {
    newest: &'a CommandResponse,
    state: CommandState,
    received: UnixMillis,
    /// When the broker took its `started`, and when the device sent it.
    started: Option<(UnixMillis, UnixMillis)>,
}

/// Parameters of the statement that stores the answers; those of the moves follow.
const STORING: usize = 10;

static MOVES: LazyLock<String> = LazyLock::new(|| {
    let at = |number: usize| format!("${}", STORING + number);
    format!(
        "
event as (
    select command_uuid, tenant_uuid, device_uuid, state, code, words,
           to_timestamp(at_ms / 1000.0) as at, to_timestamp(device_ms / 1000.0) as device_at,
           to_timestamp(started_ms / 1000.0) as started_at,
           to_timestamp(started_device_ms / 1000.0) as started_device_at
    from unnest({}::uuid[], {}::uuid[], {}::uuid[], {}::text[], {}::text[], {}::text[],
                {}::bigint[], {}::bigint[], {}::bigint[], {}::bigint[])
      as t(command_uuid, tenant_uuid, device_uuid, state, code, words, at_ms, device_ms, started_ms,
           started_device_ms)
), known as (
    select c.command_uuid
    from commands c join event e using (command_uuid, tenant_uuid, device_uuid)
    order by c.command_uuid
    for update of c
), moved as (
    update commands c set state = e.state, changed_at = clock_timestamp(), assumed = false,
           moved_by = 'device ' || c.device_uuid, reason_code = e.code, reason_text = e.words
    from event e join known using (command_uuid)
    where c.command_uuid = e.command_uuid
      and (wegweiser_command_rank(c.state) < wegweiser_command_rank(e.state)
           or (wegweiser_command_rank(e.state) = 3
               and c.moved_by <> 'device ' || c.device_uuid))
    returning c.command_uuid, c.tenant_uuid, c.state, c.moved_by, c.traceparent, e.at, e.device_at
), begun as (
    insert into command_transitions (command_uuid, tenant_uuid, state, at, device_at, moved_by)
    select e.command_uuid, e.tenant_uuid, reached.state, coalesce(e.started_at, e.at),
           coalesce(e.started_device_at, e.device_at), 'device ' || e.device_uuid
    from event e join known using (command_uuid)
    cross join (values ('delivered'), ('running')) as reached (state)
    where reached.state = 'delivered' or e.started_at is not null
    on conflict (command_uuid, state) do nothing
), {RECORD}",
        at(1),
        at(2),
        at(3),
        at(4),
        at(5),
        at(6),
        at(7),
        at(8),
        at(9),
        at(10)
    )
});

/// Stores with `insert`, whose parameters are `storing`, and moves the commands that `responses`
/// tell of, in one statement.
pub(crate) async fn write_with_moves<'a>(
    connection: &Object,
    insert: &str,
    storing: &[&(dyn ToSql + Sync)],
    responses: impl Iterator<Item = (&'a CommandResponse, UnixMillis)>,
) -> Result<(), Error> {
    let moves = by_command(responses);
    if moves.is_empty() {
        let statement = connection.prepare_cached(insert).await?;
        return connection.execute(&statement, storing).await.map(drop);
    }
    let all = || moves.values();
    let reason = |one: &Move<'a>| match &one.newest.event {
        ResponseEvent::Finished { reason, .. } => reason.as_ref(),
        _ => None,
    };
    let commands: Vec<Uuid> = moves.keys().map(CommandId::as_uuid).collect();
    let tenants: Vec<Uuid> = all().map(|one| one.newest.tenant.as_uuid()).collect();
    let devices: Vec<Uuid> = all().map(|one| one.newest.device.as_uuid()).collect();
    let states: Vec<&str> = all().map(|one| one.state.as_str()).collect();
    let codes: Vec<Option<&str>> = all().map(|one| reason(one).map(|why| &*why.code)).collect();
    let words: Vec<Option<&str>> = all().map(|one| reason(one).map(|why| &*why.text)).collect();
    let received: Vec<i64> = all().map(|one| one.received.get()).collect();
    let sent: Vec<i64> = all().map(|one| one.newest.at.get()).collect();
    let started: Vec<Option<i64>> = all().map(|one| one.started.map(|(at, _)| at.get())).collect();
    let started_device: Vec<Option<i64>> =
        all().map(|one| one.started.map(|(_, at)| at.get())).collect();
    let mut values = storing.to_vec();
    let moving: [&(dyn ToSql + Sync); 10] = [
        &commands,
        &tenants,
        &devices,
        &states,
        &codes,
        &words,
        &received,
        &sent,
        &started,
        &started_device,
    ];
    values.extend(moving);
    let sql = format!("with stored as ({insert}), {}", *MOVES);
    let statement = connection.prepare_cached(&sql).await?;
    let began = SystemTime::now();
    let moved = connection.query(&statement, &values).await?;
    traces::moved(&moved, began);
    Ok(())
}

/// Of each command what brings it furthest; of several that do, the first that was taken.
fn by_command<'a>(
    responses: impl Iterator<Item = (&'a CommandResponse, UnixMillis)>,
) -> BTreeMap<CommandId, Move<'a>> {
    let mut moves: BTreeMap<CommandId, Move<'a>> = BTreeMap::new();
    for (response, received) in responses {
        // Agents of the first generation may answer to ids of somebody else's making.
        let Ok(command) = response.command_id.parse::<CommandId>() else { continue };
        let Some(state) = CommandState::after(&response.event) else { continue };
        let started = (response.event == ResponseEvent::Started).then_some((received, response.at));
        let this = Move { newest: response, state, received, started };
        let Some(found) = moves.get_mut(&command) else {
            moves.insert(command, this);
            continue;
        };
        let started = found.started.or(started);
        if state.is_final() && !found.state.is_final() {
            *found = this;
        }
        found.started = started;
    }
    moves
}
