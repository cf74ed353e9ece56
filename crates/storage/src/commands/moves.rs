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
use protocol::{CommandResponse, ResponseEvent, UnixMillis};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::answers::{Answers, CommandOf, command_of};
use super::{CommandState, RECORD};
use crate::traces;

/// One command's way within a batch of answers.
#[derive(Default)]
struct Move<'a> {
    /// What brings it furthest; `None`: it stays as it is.
    newest: Option<Reached<'a>>,
    /// When the broker took its `started`, and when the device sent it.
    started: Option<(UnixMillis, UnixMillis)>,
}

#[derive(Clone, Copy)]
struct Reached<'a> {
    response: &'a CommandResponse,
    state: CommandState,
    received: UnixMillis,
}

/// Parameters of the statement that stores the answers; those of the moves follow.
const STORING: usize = 10;

static MOVES: LazyLock<String> = LazyLock::new(|| {
    let at = |number: usize| format!("${}", STORING + number);
    format!(
        "
event as (
    select command_uuid, tenant_uuid, device_uuid, state, code, words, cut,
           to_timestamp(at_ms / 1000.0) as at, to_timestamp(device_ms / 1000.0) as device_at,
           to_timestamp(started_ms / 1000.0) as started_at,
           to_timestamp(started_device_ms / 1000.0) as started_device_at
    from unnest({}::uuid[], {}::uuid[], {}::uuid[], {}::text[], {}::text[], {}::text[],
                {}::bigint[], {}::bigint[], {}::bigint[], {}::bigint[], {}::bool[])
      as t(command_uuid, tenant_uuid, device_uuid, state, code, words, at_ms, device_ms, started_ms,
           started_device_ms, cut)
), known as (
    select c.command_uuid, c.tenant_uuid, c.device_uuid
    from commands c join event e using (command_uuid, tenant_uuid, device_uuid)
    order by c.command_uuid
    for update of c
), moved as (
    update commands c set state = e.state, changed_at = clock_timestamp(), assumed = false,
           moved_by = 'device ' || c.device_uuid, reason_code = e.code, reason_text = e.words
    from event e join known using (command_uuid, tenant_uuid, device_uuid)
    where c.command_uuid = e.command_uuid
      and (wegweiser_command_rank(c.state) < wegweiser_command_rank(e.state)
           or (wegweiser_command_rank(e.state) = 3
               and c.moved_by <> 'device ' || c.device_uuid))
    returning c.command_uuid, c.tenant_uuid, c.state, c.moved_by, c.traceparent, e.at, e.device_at
), begun as (
    insert into command_transitions (command_uuid, tenant_uuid, state, at, device_at, moved_by)
    select e.command_uuid, e.tenant_uuid, reached.state, coalesce(e.started_at, e.at),
           coalesce(e.started_device_at, e.device_at), 'device ' || e.device_uuid
    from event e join known using (command_uuid, tenant_uuid, device_uuid)
    cross join (values ('delivered'), ('running')) as reached (state)
    where e.state is not null and (reached.state = 'delivered' or e.started_at is not null)
    on conflict (command_uuid, state) do nothing
), kept as (
    insert into command_answers (command_uuid, tenant_uuid, bytes, cut)
    select e.command_uuid, e.tenant_uuid, coalesce(sum(s.bytes), 0), e.cut
    from event e join known using (command_uuid, tenant_uuid, device_uuid)
    left join stored s on s.command_id = e.command_uuid::text
                       and s.tenant_uuid = e.tenant_uuid and s.device_uuid = e.device_uuid
    group by e.command_uuid, e.tenant_uuid, e.cut
    order by e.command_uuid
    on conflict (command_uuid) do update
       set bytes = command_answers.bytes + excluded.bytes,
           cut = command_answers.cut or excluded.cut
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
        at(10),
        at(11)
    )
});

/// What the statement that stores the answers tells of each for [`MOVES`].
const STORED: &str =
    "returning command_id, tenant_uuid, device_uuid, octet_length(payload::text) as bytes";

/// Stores with `insert`, whose parameters are `storing`, and moves the commands that `responses`
/// tell of, in one statement. `answers`: how much of each is kept.
pub(crate) async fn write_with_moves<'a>(
    connection: &Object,
    insert: &str,
    storing: &[&(dyn ToSql + Sync)],
    responses: impl Iterator<Item = (&'a CommandResponse, UnixMillis)>,
    answers: &Answers,
) -> Result<(), Error> {
    let moves = by_command(responses);
    if moves.is_empty() {
        let statement = connection.prepare_cached(insert).await?;
        return connection.execute(&statement, storing).await.map(drop);
    }
    let reached = || moves.values().map(|one| one.newest);
    let reason = |one: Option<Reached<'a>>| match &one?.response.event {
        ResponseEvent::Finished { reason, .. } => reason.as_ref(),
        _ => None,
    };
    let commands: Vec<Uuid> = moves.keys().map(|(command, ..)| command.as_uuid()).collect();
    let tenants: Vec<Uuid> = moves.keys().map(|(_, tenant, _)| tenant.as_uuid()).collect();
    let devices: Vec<Uuid> = moves.keys().map(|(.., device)| device.as_uuid()).collect();
    let states: Vec<Option<&str>> =
        reached().map(|one| one.map(|one| one.state.as_str())).collect();
    let codes: Vec<Option<&str>> = reached().map(|one| reason(one).map(|why| &*why.code)).collect();
    let words: Vec<Option<&str>> = reached().map(|one| reason(one).map(|why| &*why.text)).collect();
    let received: Vec<Option<i64>> =
        reached().map(|one| one.map(|one| one.received.get())).collect();
    let sent: Vec<Option<i64>> =
        reached().map(|one| one.map(|one| one.response.at.get())).collect();
    let started = || moves.values().map(|one| one.started);
    let started_at: Vec<Option<i64>> = started().map(|one| one.map(|(at, _)| at.get())).collect();
    let started_device: Vec<Option<i64>> =
        started().map(|one| one.map(|(_, at)| at.get())).collect();
    let cut: Vec<bool> = moves.keys().map(|of| answers.is_cut(of)).collect();
    let mut values = storing.to_vec();
    let moving: [&(dyn ToSql + Sync); 11] = [
        &commands,
        &tenants,
        &devices,
        &states,
        &codes,
        &words,
        &received,
        &sent,
        &started_at,
        &started_device,
        &cut,
    ];
    values.extend(moving);
    let sql = format!("with stored as ({insert} {STORED}), {}", *MOVES);
    let statement = connection.prepare_cached(&sql).await?;
    let began = SystemTime::now();
    let moved = connection.query(&statement, &values).await?;
    traces::moved(&moved, began);
    Ok(())
}

/// Of each command what brings it furthest; of several that do, the first that was taken.
fn by_command<'a>(
    responses: impl Iterator<Item = (&'a CommandResponse, UnixMillis)>,
) -> BTreeMap<CommandOf, Move<'a>> {
    let mut moves: BTreeMap<CommandOf, Move<'a>> = BTreeMap::new();
    for (response, received) in responses {
        let Some(of) = command_of(response) else { continue };
        let found = moves.entry(of).or_default();
        let Some(state) = CommandState::after(&response.event) else { continue };
        if response.event == ResponseEvent::Started && found.started.is_none() {
            found.started = Some((received, response.at));
        }
        let goes_further =
            found.newest.is_none_or(|newest| state.is_final() && !newest.state.is_final());
        if goes_further {
            found.newest = Some(Reached { response, state, received });
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use protocol::{CommandId, DeviceId, TenantId};

    use super::*;

    #[test]
    fn another_devices_answer_to_the_same_id_hides_nobodys() {
        let command = CommandId::create();
        let answer = |device: u128| {
            let (tenant, device) = (Uuid::from_u128(1), Uuid::from_u128(device));
            let subject = format!("tenant.{tenant}.device.{device}.response").parse().unwrap();
            let body = serde_json::json!({
                "command_id": command, "timestamp_ms": 1_790_000_000_000_i64, "event": "finished",
                "outcome": "succeeded",
            });
            let at = UnixMillis::new(1_790_000_000_000);
            let decoded = protocol::decode(&subject, body.to_string().as_bytes(), at).unwrap();
            let protocol::Event::Response(response) = decoded.0 else { panic!("a response") };
            response
        };
        let (stranger, own) = (answer(3), answer(2));
        let at = UnixMillis::new(1_790_000_000_001);
        let moves = by_command([(&stranger, at), (&own, at)].into_iter());
        let of = (command, TenantId::new(Uuid::from_u128(1)), DeviceId::new(Uuid::from_u128(2)));
        assert_eq!(moves.len(), 2);
        assert_eq!(moves[&of].newest.unwrap().response, &own);
    }
}
