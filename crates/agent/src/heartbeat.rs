//! Heartbeats: "I am alive", with a short summary and the numbers that the books balance against.
//!
//! Promises: a heartbeat goes out at its interval even if the summary cannot be had; then it
//! carries the last one.

use std::time::Duration;

use broker::{Outbox, Sender};
use bytes::Bytes;
use protocol::{HeartbeatBody, Kind, Labels, UnixMillis};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::collect::{Patient, Summary};
use crate::condition::Condition;

/// How long a heartbeat waits for its summary.
const SUMMARY_WITHIN: Duration = Duration::from_secs(1);

/// How often, and what stands in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) interval: Duration,
    pub(crate) labels: Labels,
}

pub(crate) struct Heartbeats {
    sender: Sender,
    outbox: Outbox,
    condition: Condition,
    summary: Patient<Map<String, Value>>,
    last_summary: Map<String, Value>,
}

impl Heartbeats {
    pub(crate) fn new(sender: Sender, outbox: Outbox, condition: Condition) -> Self {
        let journal = condition.journal().clone();
        let summary = Patient::new("summary", Box::new(Summary::default()), journal);
        Self { sender, outbox, condition, summary, last_summary: Map::new() }
    }

    /// Reports at once, and then at each interval as long as `beat` has a sender; a change of it
    /// is reported at once.
    pub(crate) async fn report(mut self, mut beat: watch::Receiver<Beat>) {
        loop {
            let now = beat.borrow_and_update().clone();
            let mut ticks = tokio::time::interval(now.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let changed = loop {
                tokio::select! {
                    _ = ticks.tick() => self.beat(&now).await,
                    changed = beat.changed() => break changed,
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn beat(&mut self, beat: &Beat) {
        if let Some(taken) = self.summary.collect(SUMMARY_WITHIN).await {
            self.last_summary = taken.reading;
        }
        if let Err(error) = self.hand_over(beat) {
            tracing::warn!(%error, "heartbeat not taken");
        }
    }

    fn hand_over(&self, beat: &Beat) -> anyhow::Result<()> {
        let at = UnixMillis::now();
        let status = self.condition.status();
        let body = HeartbeatBody {
            device_uuid: self.sender.device,
            tenant_uuid: self.sender.tenant,
            timestamp_ms: at,
            session_id: self.sender.session,
            agent_version: env!("CARGO_PKG_VERSION"),
            heartbeat_interval_ms: u32::try_from(beat.interval.as_millis())?,
            status,
            system_info: &self.last_summary,
            labels: &beat.labels,
        };
        self.outbox.hand_over(Kind::Heartbeat, at, Bytes::from(serde_json::to_vec(&body)?))?;
        Ok(())
    }
}
