//! A shadow of a table, written anew by the receiver's own statements and compared with the real one.
//!
//! Promises: the real table is read only, but for [`Shadow::insert_missing`], which adds rows and
//! changes none; one rebuild at a time. Memory is the database's. Refuses: to compare what no
//! message determines (when a row was written, whether a device counts as online).

use std::borrow::Cow;

use deadpool_postgres::Object;
use protocol::UnixMillis;
use serde::Serialize;

use crate::NumberRun;
use crate::connectivity::{self, HeartbeatWrite};
use crate::outcome::{Unavailable, Written};
use crate::presence::OfflineRule;
use crate::realtime::{self, RealtimeWrite};
use crate::records::Records;
use crate::sql_error::unavailable;

/// Any number that no other program uses for an advisory lock: "rebuild" in ASCII.
const LOCK: i64 = 0x0072_6562_7569_6c64;
/// Runs of numbers that are noted by one statement.
const NOTED_AT_ONCE: usize = 1_000;
/// Rows of each sort that are named.
const EXAMPLES: i64 = 10;

/// Which of two tables of the same shape a statement writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The one that everybody reads.
    Real,
    /// The one in schema `rebuild`.
    Shadow,
}

impl Target {
    /// The statement, for this table.
    pub(crate) fn of(self, sql: &'static str, table: &str) -> Cow<'static, str> {
        match self {
            Self::Real => Cow::Borrowed(sql),
            Self::Shadow => Cow::Owned(sql.replace(table, &format!("rebuild.{table}"))),
        }
    }
}

/// What is rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Rows of one kind in `device_realtime_data`.
    Records(&'static str),
    /// `device_connectivity`.
    Connectivity,
}

/// A shadow table, until it is dropped; holds the lock of rebuilding.
pub struct Shadow {
    records: Records,
    connection: Object,
    kind: Kind,
    /// The devices' own numbers of what was written, for the books.
    numbers: Vec<(&'static str, NumberRun)>,
}

/// How the real table differs from what the stream says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Discrepancy {
    /// Rows that the stream makes.
    pub rebuilt: i64,
    /// Rows that only the stream makes.
    pub missing: Difference,
    /// Rows that both have and that say something else.
    pub different: Difference,
    /// Rows of that time that the stream does not make.
    pub extra: Difference,
}

/// Rows of one sort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How many.
    pub rows: i64,
    /// Some of them: tenant, device and, of a record, its message key.
    pub examples: Vec<String>,
}

impl Discrepancy {
    /// Whether both say the same.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.missing.rows == 0 && self.different.rows == 0 && self.extra.rows == 0
    }
}

const MAKE: &str = "
create schema if not exists rebuild;
drop table if exists rebuild.device_realtime_data, rebuild.device_connectivity,
                     rebuild.device_connectivity_changes;
create unlogged table rebuild.device_realtime_data (like device_realtime_data including all);
create unlogged table rebuild.device_connectivity (like device_connectivity including all);
create unlogged table rebuild.device_connectivity_changes
    (like device_connectivity_changes including all)";

const SAME_RECORD: &str = "r.tenant_uuid = s.tenant_uuid and r.device_uuid = s.device_uuid
    and r.kind = s.kind and r.message_key = s.message_key";
const SAME_DEVICE: &str = "r.tenant_uuid = s.tenant_uuid and r.device_uuid = s.device_uuid";

impl Kind {
    const fn table(self) -> &'static str {
        match self {
            Self::Records(_) => "device_realtime_data",
            Self::Connectivity => "device_connectivity",
        }
    }

    const fn name_of_row(self) -> &'static str {
        match self {
            Self::Records(_) => "x.tenant_uuid || ' ' || x.device_uuid || ' ' || x.message_key",
            Self::Connectivity => "x.tenant_uuid || ' ' || x.device_uuid",
        }
    }

    fn missing(self) -> String {
        let (table, same) = (self.table(), self.same());
        // Of a command that was cut, what is beyond its bound is left out.
        let kept = match self {
            Self::Records("response") => {
                "and not exists (select from command_answers a
                                 where a.cut and a.command_uuid::text = s.command_id)"
            }
            Self::Records(_) | Self::Connectivity => "",
        };
        format!(
            "select s.* from rebuild.{table} s
             where not exists (select from {table} r where {same}) {kept}"
        )
    }

    const fn same(self) -> &'static str {
        match self {
            Self::Records(_) => SAME_RECORD,
            Self::Connectivity => SAME_DEVICE,
        }
    }

    /// A device that has reported since says something newer, which is no difference.
    fn different(self) -> String {
        match self {
            Self::Records(_) => format!(
                "select s.* from rebuild.device_realtime_data s
                 join device_realtime_data r on {SAME_RECORD}
                 where (r.data_type, r.command_id, r.status, r.payload, r.sent_at)
                       is distinct from (s.data_type, s.command_id, s.status, s.payload, s.sent_at)"
            ),
            Self::Connectivity => format!(
                "select s.* from rebuild.device_connectivity s
                 join device_connectivity r on {SAME_DEVICE}
                 where r.last_heartbeat < s.last_heartbeat or r.last_heartbeat = s.last_heartbeat
                   and (r.session_id, r.agent_version, r.clock_offset_ms, r.connection_info)
                       is distinct from
                       (s.session_id, s.agent_version, s.clock_offset_ms, s.connection_info)"
            ),
        }
    }

    /// `$1` to `$2`: the time that was read again.
    fn extra(self) -> String {
        let (table, same) = (self.table(), self.same());
        let within = match self {
            Self::Records(kind) => format!("r.kind = '{kind}' and r.received_at"),
            Self::Connectivity => "r.last_heartbeat".to_owned(),
        };
        format!(
            "select r.* from {table} r
             where {within} >= to_timestamp($1::bigint / 1000.0)
               and {} < to_timestamp($2::bigint / 1000.0)
               and not exists (select from rebuild.{table} s where {same})",
            within.rsplit(' ').next().unwrap_or_default()
        )
    }

    /// Only columns that are nobody's to make.
    fn insert_missing(self) -> String {
        let missing = self.missing();
        match self {
            Self::Records(_) => format!(
                "insert into device_realtime_data
                       (tenant_uuid, device_uuid, message_key, kind, data_type, command_id, status,
                        payload, sent_at, received_at)
                 select tenant_uuid, device_uuid, message_key, kind, data_type, command_id, status,
                        payload, sent_at, received_at
                 from ({missing}) m on conflict do nothing"
            ),
            Self::Connectivity => {
                format!(
                    "insert into device_connectivity select m.* from ({missing}) m on conflict do nothing"
                )
            }
        }
    }
}

impl Records {
    /// Makes empty shadow tables for what `stream` feeds; `None`: it feeds no table.
    ///
    /// # Errors
    /// Postgres is away or ill, another rebuild runs, or the user may not make a schema.
    pub async fn shadow(&self, stream: &str) -> Result<Option<Shadow>, Unavailable> {
        let kind = match stream {
            "MONITORING" => Kind::Records("monitoring"),
            "RESPONSES" => Kind::Records("response"),
            "HEARTBEATS" => Kind::Connectivity,
            _ => return Ok(None),
        };
        let connection = self.connection().await?;
        let free = connection.query_one("select pg_try_advisory_lock($1)", &[&LOCK]).await;
        if !free.map_err(|error| unavailable(&error))?.get::<_, bool>(0) {
            return Err(Unavailable::postgres("another rebuild is running; wait for its end"));
        }
        // Comparing whole tables takes as long as it takes.
        let made = connection.batch_execute(&format!("set statement_timeout = 0; {MAKE}")).await;
        made.map_err(|error| unavailable(&error))?;
        Ok(Some(Shadow { records: self.clone(), connection, kind, numbers: Vec::new() }))
    }
}

impl Shadow {
    /// As [`Records::write_realtime`], into the shadow.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn write_realtime(
        &mut self,
        writes: &[RealtimeWrite<'_>],
    ) -> Result<Vec<Written>, Unavailable> {
        let written = self.records.write_realtime_into(Target::Shadow, writes).await?;
        if let Kind::Records(kind) = self.kind {
            let numbers = realtime::numbers(kind, writes, &written);
            self.numbers.extend(numbers.into_iter().map(|run| (kind, run)));
        }
        Ok(written)
    }

    /// As [`Records::write_heartbeats`], into the shadow.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn write_heartbeats(
        &mut self,
        writes: &[HeartbeatWrite<'_>],
        rule: &OfflineRule,
    ) -> Result<Vec<Written>, Unavailable> {
        let written = self.records.write_heartbeats_into(Target::Shadow, writes, rule).await?;
        let numbers = connectivity::numbers(writes);
        self.numbers.extend(numbers.into_iter().map(|run| ("heartbeat", run)));
        Ok(written)
    }

    /// Compares with the real table: what the broker took from `since` and before `until`.
    ///
    /// # Errors
    /// Postgres is away or ill.
    pub async fn compare(
        &self,
        since: UnixMillis,
        until: UnixMillis,
    ) -> Result<Discrepancy, Unavailable> {
        let count = format!("select count(*) from rebuild.{}", self.kind.table());
        let row = self.connection.query_one(&count, &[]).await;
        let rebuilt = row.map_err(|error| unavailable(&error))?.get(0);
        Ok(Discrepancy {
            rebuilt,
            missing: self.difference(&self.kind.missing(), &[]).await?,
            different: self.difference(&self.kind.different(), &[]).await?,
            extra: self.difference(&self.kind.extra(), &[&since.get(), &until.get()]).await?,
        })
    }

    async fn difference(
        &self,
        rows: &str,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Difference, Unavailable> {
        let name = self.kind.name_of_row();
        let sql = format!(
            "with rows as materialized ({rows})
             select (select count(*) from rows),
                    array(select {name} from rows x order by 1 limit {EXAMPLES})"
        );
        let row = self.connection.query_one(&sql, values).await;
        let row = row.map_err(|error| unavailable(&error))?;
        Ok(Difference { rows: row.get(0), examples: row.get(1) })
    }

    /// Adds the rows that only the stream makes to the real table, and all that were read to the
    /// books; how many rows it added.
    ///
    /// # Errors
    /// Postgres is away or ill; nothing is doubled by a second rebuild.
    pub async fn insert_missing(&self) -> Result<u64, Unavailable> {
        let added = self.connection.execute(&self.kind.insert_missing(), &[]).await;
        let added = added.map_err(|error| unavailable(&error))?;
        for part in self.numbers.chunks(NOTED_AT_ONCE) {
            let Some((kind, _)) = part.first() else { continue };
            let runs: Vec<NumberRun> = part.iter().map(|(_, run)| *run).collect();
            self.records.note_stored(kind, &runs).await?;
        }
        Ok(added)
    }

    /// Removes the shadow.
    ///
    /// # Errors
    /// Postgres is away or ill; the next rebuild removes it.
    pub async fn remove(self) -> Result<(), Unavailable> {
        let removed = self.connection.batch_execute("drop schema rebuild cascade").await;
        removed.map_err(|error| unavailable(&error))?;
        let unlock = format!("reset statement_timeout; select pg_advisory_unlock({LOCK})");
        self.connection.batch_execute(&unlock).await.map_err(|error| unavailable(&error))
    }
}
