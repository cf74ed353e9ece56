//! The books: what was published against every row, ring and dead letter.
//!
//! Promises: each message is looked for by itself, not by a sum in which one that is lost and one
//! that is doubled would cancel out.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use protocol::DeviceId;
use redis::AsyncCommands as _;

use crate::findings::Findings;
use crate::load::{Fleet, Sent};
use crate::stage::Stage;
use crate::world::sql_client;

/// What became of everything that was published and acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) published: u64,
    /// Without any effect.
    pub(crate) lost: u64,
    /// Effects beyond the first.
    pub(crate) doubled: u64,
    /// In `DEAD_LETTERS`.
    pub(crate) parked: u64,
}

/// How often each number of a kind has its row, by device.
type Rows = HashMap<(uuid::Uuid, String), BTreeMap<i64, u64>>;

impl Balance {
    /// Looks for everything that the fleet handed over.
    pub(crate) async fn of(stage: &Stage, fleet: &Fleet) -> Result<Self> {
        let rows = rows(stage).await?;
        let beats = heartbeats(stage).await?;
        let mut balance =
            Self { parked: stage.world.messages_in("DEAD_LETTERS").await?, ..Self::default() };
        for agent in &fleet.agents {
            let sent = agent.sent();
            balance.rows(agent.device, "monitoring", sent.reports, &rows);
            balance.rows(agent.device, "response", sent.responses, &rows);
            balance.heartbeat(agent.device, sent.heartbeats, &beats);
            balance.rings(stage, agent.device, &sent).await?;
        }
        Ok(balance)
    }

    /// Demands that nothing is lost, doubled or parked.
    pub(crate) fn judge(self, findings: &mut Findings) {
        findings.tell("published", self.published);
        findings.must_be("lost", self.lost, 0);
        findings.must_be("doubled", self.doubled, 0);
        findings.must_be("dead letters", self.parked, 0);
    }

    fn count(&mut self, seen: u64) {
        self.published += 1;
        self.lost += u64::from(seen == 0);
        self.doubled += seen.saturating_sub(1);
    }

    fn rows(&mut self, device: DeviceId, kind: &str, sent: u64, rows: &Rows) {
        let seen = rows.get(&(device.as_uuid(), kind.to_owned()));
        for n in 1..=sent {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            self.count(seen.and_then(|seen| seen.get(&n)).copied().unwrap_or(0));
        }
    }

    /// A heartbeat's effect is the device's state, so the newest stands for all before it.
    fn heartbeat(&mut self, device: DeviceId, sent: u64, beats: &HashMap<uuid::Uuid, u64>) {
        self.published += sent;
        let newest = beats.get(&device.as_uuid()).copied().unwrap_or(0);
        self.lost += sent.saturating_sub(newest);
    }

    /// As the list is, not as our readers tidy it.
    async fn rings(&mut self, stage: &Stage, device: DeviceId, sent: &Sent) -> Result<()> {
        let mut redis = stage.world.redis().await?;
        for (metric, points) in &sent.points {
            let key = stage.world.ring_key(device, metric);
            let elements: Vec<String> = redis.lrange(key, 0, -1).await?;
            let mut seen: HashMap<i64, u64> = HashMap::new();
            for element in elements {
                let element: serde_json::Value = serde_json::from_str(&element)?;
                let at = element["timestamp"].as_i64().context("an element has a time stamp")?;
                *seen.entry(at).or_default() += 1;
            }
            for at in points {
                self.count(seen.get(at).copied().unwrap_or(0));
            }
        }
        Ok(())
    }
}

async fn rows(stage: &Stage) -> Result<Rows> {
    let client = sql_client(&stage.world.database).await?;
    let sql = "select device_uuid, kind, (payload ->> 'n')::bigint, count(*)
               from device_realtime_data where payload ? 'n' group by 1, 2, 3";
    let mut rows = Rows::new();
    for row in client.query(sql, &[]).await? {
        let (device, kind, n, count): (uuid::Uuid, String, i64, i64) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        rows.entry((device, kind)).or_default().insert(n, u64::try_from(count)?);
    }
    Ok(rows)
}

async fn heartbeats(stage: &Stage) -> Result<HashMap<uuid::Uuid, u64>> {
    let client = sql_client(&stage.world.database).await?;
    let sql = "select device_uuid, agent_version from device_connectivity";
    let mut beats = HashMap::new();
    for row in client.query(sql, &[]).await? {
        let newest: Option<String> = row.get(1);
        beats.insert(row.get(0), newest.and_then(|n| n.parse().ok()).unwrap_or(0));
    }
    Ok(beats)
}
