//! Heartbeats: "I am alive", with a short summary and the numbers that the books balance against.
//!
//! Promises: a heartbeat goes out at its interval even if the summary cannot be had; then it
//! carries the last one.

use std::time::{Duration, Instant};

use broker::{Outbox, Sender};
use bytes::Bytes;
use protocol::{HeartbeatBody, HeartbeatStatus, Kind, UnixMillis};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::collect::{Patient, Summary};

/// How long a heartbeat waits for its summary.
const SUMMARY_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct Heartbeats {
    sender: Sender,
    outbox: Outbox,
    connections: watch::Receiver<u64>,
    summary: Patient<Map<String, Value>>,
    last_summary: Map<String, Value>,
    started: Instant,
}

impl Heartbeats {
    pub(crate) fn new(sender: Sender, outbox: Outbox, connections: watch::Receiver<u64>) -> Self {
        let summary = Patient::new(Box::new(Summary::default()));
        let (last_summary, started) = (Map::new(), Instant::now());
        Self { sender, outbox, connections, summary, last_summary, started }
    }

    /// Reports at once and then at each `interval`, for ever.
    pub(crate) async fn report(mut self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if let Some(taken) = self.summary.collect(SUMMARY_WITHIN).await {
                self.last_summary = taken.reading;
            }
            if let Err(error) = self.hand_over(interval) {
                tracing::warn!(%error, "heartbeat not taken");
            }
        }
    }

    fn hand_over(&self, interval: Duration) -> anyhow::Result<()> {
        let at = UnixMillis::now();
        let mut sent = self.outbox.sent();
        sent.heartbeat += 1;
        let body = HeartbeatBody {
            device_uuid: self.sender.device,
            tenant_uuid: self.sender.tenant,
            timestamp_ms: at,
            session_id: self.sender.session,
            agent_version: env!("CARGO_PKG_VERSION"),
            heartbeat_interval_ms: u32::try_from(interval.as_millis())?,
            status: HeartbeatStatus {
                connected: true,
                uptime: self.started.elapsed().as_secs(),
                reconnects: self.connections.borrow().saturating_sub(1),
                sent,
                ..HeartbeatStatus::default()
            },
            system_info: &self.last_summary,
        };
        self.outbox.hand_over(Kind::Heartbeat, at, Bytes::from(serde_json::to_vec(&body)?))?;
        Ok(())
    }
}
