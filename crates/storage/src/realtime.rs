//! Responses and monitoring reports into `device_realtime_data`, each message once.
//!
//! Promises: a response and what it makes of its command are one statement.

use deadpool_postgres::Object;
use protocol::{CommandResponse, DeviceId, MessageKey, MonitoringReport, TenantId, UnixMillis};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use crate::commands::{Answers, write_with_moves};
use crate::ledger::{DeviceSession, NumberRun, runs};
use crate::outcome::{Unavailable, Written};
use crate::rebuild::Target;
use crate::records::Records;

/// What a row of `device_realtime_data` tells.
#[derive(Clone, Copy, Debug)]
pub enum RealtimeBody<'a> {
    /// A full snapshot.
    Monitoring(&'a MonitoringReport),
    /// An answer to a command.
    Response(&'a CommandResponse),
}

/// A record on its way into the table.
#[derive(Clone, Debug)]
pub struct RealtimeWrite<'a> {
    /// What it tells.
    pub body: RealtimeBody<'a>,
    /// The key under which it counts once.
    pub key: MessageKey,
    /// When the broker took it.
    pub received: UnixMillis,
}

/// A record with how much of the answers to its command is kept. It stands beside each, since the
/// compiler takes no closure that carries it as a writer of rows of any lifetime.
struct Bounded<'a> {
    write: &'a RealtimeWrite<'a>,
    most_bytes: u64,
}

const TABLE: &str = "device_realtime_data";
const INSERT: &str = "
insert into device_realtime_data
      (tenant_uuid, device_uuid, message_key, kind, data_type, command_id, status, payload,
       sent_at, received_at)
select tenant_uuid, device_uuid, message_key, kind, data_type, command_id, status,
       payload::jsonb, to_timestamp(sent_ms / 1000.0), to_timestamp(received_ms / 1000.0)
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::bigint[], $10::bigint[])
  as t(tenant_uuid, device_uuid, message_key, kind, data_type, command_id, status, payload,
       sent_ms, received_ms)
on conflict (tenant_uuid, device_uuid, kind, message_key) do nothing";

impl<'a> RealtimeBody<'a> {
    const fn response(self) -> Option<&'a CommandResponse> {
        match self {
            Self::Monitoring(_) => None,
            Self::Response(response) => Some(response),
        }
    }

    const fn sender(&self) -> (TenantId, DeviceId, UnixMillis) {
        match self {
            Self::Monitoring(report) => (report.tenant, report.device, report.at),
            Self::Response(response) => (response.tenant, response.device, response.at),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Monitoring(_) => "monitoring",
            Self::Response(_) => "response",
        }
    }

    fn data_type(&self) -> &str {
        match self {
            Self::Monitoring(report) => &report.report_type,
            // Readers of the newest response are shown one that ended its command.
            Self::Response(response) if !response.ends() => "progress",
            Self::Response(_) => "response",
        }
    }

    fn command_id(&self) -> Option<&str> {
        match self {
            Self::Monitoring(_) => None,
            Self::Response(response) => Some(&response.command_id),
        }
    }

    const fn status(&self) -> Option<&'static str> {
        match self {
            Self::Monitoring(_) => None,
            Self::Response(response) => Some(response.status.as_str()),
        }
    }

    fn payload(&self) -> &str {
        match self {
            Self::Monitoring(report) => &report.report,
            Self::Response(response) => &response.response,
        }
    }
}

impl Records {
    /// Takes a batch of records; the answers stand in their order. A record that is there
    /// already counts as written.
    ///
    /// # Errors
    /// Postgres is away or ill; nothing is doubled by writing the same batch again.
    pub async fn write_realtime(
        &self,
        writes: &[RealtimeWrite<'_>],
    ) -> Result<Vec<Written>, Unavailable> {
        let written = self.write_realtime_into(Target::Real, writes).await?;
        for kind in ["monitoring", "response"] {
            self.note_stored(kind, &numbers(kind, writes, &written)).await?;
        }
        Ok(written)
    }

    pub(crate) async fn write_realtime_into(
        &self,
        target: Target,
        writes: &[RealtimeWrite<'_>],
    ) -> Result<Vec<Written>, Unavailable> {
        let sql = target.of(INSERT, TABLE);
        match target {
            Target::Real => {
                let most_bytes = self.answers_max_bytes;
                let bounded = writes.iter().map(|write| Bounded { write, most_bytes });
                let bounded: Vec<Bounded<'_>> = bounded.collect();
                self.write_bisecting(TABLE, &sql, &bounded, insert).await
            }
            Target::Shadow => self.write_bisecting(TABLE, &sql, writes, insert_into_shadow).await,
        }
    }
}

/// The numbers of what was written of a kind.
pub(crate) fn numbers(
    kind: &'static str,
    writes: &[RealtimeWrite<'_>],
    written: &[Written],
) -> Vec<NumberRun> {
    let mut numbers = Vec::new();
    for (write, written) in writes.iter().zip(written) {
        if let (MessageKey::Sender(id), Ok(_)) = (&write.key, written)
            && write.body.kind() == kind
            && let Some(number) = id.number(kind)
        {
            let (tenant, device, _) = write.body.sender();
            numbers
                .push((DeviceSession { tenant, device, session: number.session }, number.counter));
        }
    }
    runs(numbers)
}

/// Of a command whose device says too much, not everything is stored; what it tells counts.
async fn insert(connection: &Object, sql: &str, all: &[Bounded<'_>]) -> Result<(), Error> {
    let most_bytes = all.first().map_or(0, |first| first.most_bytes);
    let responses = all.iter().filter_map(|one| one.write.body.response());
    let mut answers = Answers::read(connection, responses, most_bytes).await?;
    let mut kept = Vec::with_capacity(all.len());
    for Bounded { write, .. } in all {
        if write.body.response().is_none_or(|response| answers.keep(response)) {
            kept.push(*write);
        }
    }
    let moving =
        all.iter().filter_map(|one| Some((one.write.body.response()?, one.write.received)));
    store(connection, sql, &kept, moving, &answers).await
}

/// What is written into a shadow was said long ago, and moves nothing.
async fn insert_into_shadow(
    connection: &Object,
    sql: &str,
    writes: &[RealtimeWrite<'_>],
) -> Result<(), Error> {
    let all: Vec<&RealtimeWrite<'_>> = writes.iter().collect();
    store(connection, sql, &all, std::iter::empty(), &Answers::default()).await
}

/// Stores rows, and moves the commands that `moving` tell of.
async fn store<'a>(
    connection: &Object,
    sql: &str,
    rows: &[&RealtimeWrite<'_>],
    moving: impl Iterator<Item = (&'a CommandResponse, UnixMillis)>,
    answers: &Answers,
) -> Result<(), Error> {
    let bodies = || rows.iter().map(|write| &write.body);
    let tenants: Vec<_> = bodies().map(|body| body.sender().0.as_uuid()).collect();
    let devices: Vec<_> = bodies().map(|body| body.sender().1.as_uuid()).collect();
    let keys: Vec<String> = rows.iter().map(|write| write.key.to_string()).collect();
    let kinds: Vec<_> = bodies().map(RealtimeBody::kind).collect();
    let types: Vec<_> = bodies().map(RealtimeBody::data_type).collect();
    let commands: Vec<_> = bodies().map(RealtimeBody::command_id).collect();
    let statuses: Vec<_> = bodies().map(RealtimeBody::status).collect();
    let payloads: Vec<_> = bodies().map(RealtimeBody::payload).collect();
    let sent: Vec<i64> = bodies().map(|body| body.sender().2.get()).collect();
    let received: Vec<i64> = rows.iter().map(|write| write.received.get()).collect();
    let storing: [&(dyn ToSql + Sync); 10] = [
        &tenants, &devices, &keys, &kinds, &types, &commands, &statuses, &payloads, &sent,
        &received,
    ];
    write_with_moves(connection, sql, &storing, moving, answers).await
}
