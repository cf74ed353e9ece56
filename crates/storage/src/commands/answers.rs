//! How much of a command's answers is kept, whatever its device sends.
//!
//! Promises: once so much of a command is kept, nothing but its end is added, and the command is
//! marked as cut. Receivers that store answers of one command in the same instant may each keep
//! what they hold beyond that. Refuses: to judge answers to what nobody ordered here.

use std::collections::HashMap;

use deadpool_postgres::Object;
use protocol::{CommandId, CommandResponse, DeviceId, TenantId};
use tokio_postgres::Error;
use uuid::Uuid;

/// A command and whose device answers to it: an answer of any other is none.
pub(super) type CommandOf = (CommandId, TenantId, DeviceId);

/// What a response answers to; `None`: agents of the first generation may answer to ids of somebody
/// else's making.
pub(super) fn command_of(response: &CommandResponse) -> Option<CommandOf> {
    Some((response.command_id.parse().ok()?, response.tenant, response.device))
}

/// How much is kept so far.
#[derive(Debug, Default)]
struct Kept {
    bytes: u64,
    /// Its device has told its end.
    ended: bool,
    /// Something was left out.
    cut: bool,
}

/// How much is kept so far of the commands that a batch of answers tells of.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    commands: HashMap<CommandOf, Kept>,
    most_bytes: u64,
}

const KEPT: &str = "
select c.command_uuid, c.tenant_uuid, c.device_uuid, coalesce(a.bytes, 0),
       wegweiser_command_rank(c.state) = 3 and c.moved_by = 'device ' || c.device_uuid
from commands c left join command_answers a using (command_uuid)
where c.command_uuid = any($1)";

impl Answers {
    /// Looks up what is kept of these; `most_bytes`: of each command.
    pub(crate) async fn read<'a>(
        connection: &Object,
        responses: impl Iterator<Item = &'a CommandResponse>,
        most_bytes: u64,
    ) -> Result<Self, Error> {
        let mut ids: Vec<Uuid> =
            responses.filter_map(command_of).map(|(command, ..)| command.as_uuid()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut answers = Self { most_bytes, ..Self::default() };
        if ids.is_empty() {
            return Ok(answers);
        }
        let statement = connection.prepare_cached(KEPT).await?;
        for row in connection.query(&statement, &[&ids]).await? {
            let of =
                (CommandId::new(row.get(0)), TenantId::new(row.get(1)), DeviceId::new(row.get(2)));
            let bytes = u64::try_from(row.get::<_, i64>(3)).unwrap_or_default();
            answers.commands.insert(of, Kept { bytes, ended: row.get(4), cut: false });
        }
        Ok(answers)
    }

    /// Whether this one is kept, after those that were asked about before.
    pub(crate) fn keep(&mut self, response: &CommandResponse) -> bool {
        let kept = command_of(response).and_then(|of| self.commands.get_mut(&of));
        let Some(kept) = kept else { return true };
        let first_end = response.ends() && !kept.ended;
        let bytes = kept.bytes.saturating_add(response.response.len() as u64);
        if bytes > self.most_bytes && !first_end {
            kept.cut = true;
            return false;
        }
        kept.bytes = bytes;
        kept.ended |= first_end;
        true
    }

    /// Whether something of it was left out just now.
    pub(super) fn is_cut(&self, of: &CommandOf) -> bool {
        self.commands.get(of).is_some_and(|kept| kept.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(of: CommandOf, event: &str) -> CommandResponse {
        let (command, tenant, device) = of;
        let subject = format!("tenant.{tenant}.device.{device}.response").parse().unwrap();
        let body = serde_json::json!({
            "command_id": command, "timestamp_ms": 1_790_000_000_000_i64, "event": event,
            "number": 1, "chunk": "x".repeat(100), "outcome": "succeeded",
        });
        let at = protocol::UnixMillis::new(1_790_000_000_000);
        let decoded = protocol::decode(&subject, body.to_string().as_bytes(), at).unwrap();
        let protocol::Event::Response(response) = decoded.0 else { panic!("a response") };
        response
    }

    #[test]
    fn beyond_the_bound_nothing_is_kept_but_the_end() {
        let of = (
            CommandId::create(),
            TenantId::new(Uuid::from_u128(1)),
            DeviceId::new(Uuid::from_u128(2)),
        );
        let (output, end) = (response(of, "output"), response(of, "finished"));
        let commands = HashMap::from([(of, Kept::default())]);
        let most_bytes = output.response.len() as u64 * 2 + 10;
        let mut answers = Answers { commands, most_bytes };
        assert!(answers.keep(&output) && answers.keep(&output) && !answers.is_cut(&of));
        assert!(!answers.keep(&output) && answers.is_cut(&of));
        assert!(answers.keep(&end));
        assert!(!answers.keep(&end), "one end");
        let stranger = (of.0, of.1, DeviceId::new(Uuid::from_u128(3)));
        assert!(answers.keep(&response(stranger, "output")), "no answer to this command");
    }
}
