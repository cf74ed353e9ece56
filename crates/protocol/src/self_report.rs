//! What an agent says of itself: in each heartbeat under `status`, and locally at `status`.
//!
//! Promises: absent fields read as nothing, so that older agents' heartbeats read too; what is zero
//! or empty is not written. `sent = stored + parked + spooled + dropped` holds for each kind of a
//! session once nothing is under way: the books balance against it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::SessionId;

/// What an agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeartbeatStatus {
    /// Whether it had a connection when it said so: false in a heartbeat that waited for one.
    pub connected: bool,
    /// Seconds since the agent started.
    pub uptime: u64,
    /// Connections it lost and made again since it started.
    pub reconnects: u64,
    /// The highest number given out per kind in this session, this heartbeat included.
    pub sent: KindCounts,
    /// Messages of this session that wait on the device or are under way, without this heartbeat.
    #[serde(skip_serializing_if = "KindCounts::is_zero")]
    pub spooled: KindCounts,
    /// Bytes that the spool has on disk, of all sessions.
    #[serde(skip_serializing_if = "is_zero")]
    pub spooled_bytes: u64,
    /// Messages of this session that the device gave up, by kind and reason.
    #[serde(skip_serializing_if = "DroppedCounts::is_zero")]
    pub dropped: DroppedCounts,
    /// Earlier runs that still have something spooled, or whose final counts no confirmed heartbeat
    /// has told yet; the oldest first, at most [`crate::limits::EARLIER_SESSIONS_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier_sessions: Vec<EarlierSession>,
    /// What is wrong now, or was last, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How far the device's clock is ahead of the backend's, in milliseconds, where it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// Each collector's last run, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub collectors: BTreeMap<String, CollectorReport>,
    /// What it did with commands since it started.
    #[serde(skip_serializing_if = "CommandReport::is_empty")]
    pub commands: CommandReport,
}

/// What an agent did with commands since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommandReport {
    /// Taken, and not begun.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting: u64,
    /// Begun, and not ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub running: u64,
    /// Ended, by outcome; refused ones stand under their reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ended: BTreeMap<String, u64>,
    /// Messages that were refused, by the code of their reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
}

impl CommandReport {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A number per kind of message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KindCounts {
    /// Metric points.
    pub metric: u64,
    /// Heartbeats.
    pub heartbeat: u64,
    /// Monitoring reports.
    pub monitoring: u64,
    /// Responses.
    pub response: u64,
}

impl KindCounts {
    /// Whether there is none of any kind.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// Messages given up, by kind and reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DroppedCounts {
    /// Metric points.
    #[serde(skip_serializing_if = "DropReasons::is_zero")]
    pub metric: DropReasons,
    /// Heartbeats.
    #[serde(skip_serializing_if = "DropReasons::is_zero")]
    pub heartbeat: DropReasons,
    /// Monitoring reports.
    #[serde(skip_serializing_if = "DropReasons::is_zero")]
    pub monitoring: DropReasons,
    /// Responses.
    #[serde(skip_serializing_if = "DropReasons::is_zero")]
    pub response: DropReasons,
}

impl DroppedCounts {
    /// Whether nothing was given up.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// Why messages were given up, and how many for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropReasons {
    /// Older than is worth sending.
    #[serde(skip_serializing_if = "is_zero")]
    pub expired: u64,
    /// More came than may wait.
    #[serde(skip_serializing_if = "is_zero")]
    pub overflow: u64,
    /// Larger than this broker takes, although within the contract.
    #[serde(skip_serializing_if = "is_zero")]
    pub too_large: u64,
    /// Could not be read back from the disk.
    #[serde(skip_serializing_if = "is_zero")]
    pub damaged: u64,
}

impl DropReasons {
    /// For whatever reason.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.expired + self.overflow + self.too_large + self.damaged
    }

    /// Whether nothing was given up.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.total() == 0
    }

    /// Each reason with its number.
    #[must_use]
    pub const fn each(&self) -> [(&'static str, u64); 4] {
        [
            ("expired", self.expired),
            ("overflow", self.overflow),
            ("too_large", self.too_large),
            ("damaged", self.damaged),
        ]
    }
}

/// An earlier run of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierSession {
    /// Which.
    pub session_id: SessionId,
    /// The highest number per kind that is known to have been given out in it. After a kill, metric
    /// points that were not on disk yet are not in it.
    #[serde(default)]
    pub sent: KindCounts,
    /// Its messages that still wait on the device.
    #[serde(default)]
    pub spooled: KindCounts,
    /// Its messages that the device gave up.
    #[serde(default)]
    pub dropped: KindCounts,
}

/// A collector's last run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectorReport {
    /// How long it took, in milliseconds; absent while it has not finished once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
    /// Why it brought nothing; absent where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_agents_status_reads_and_nothing_is_written_for_nothing() {
        let old = r#"{"connected":true,"uptime":7,"reconnects":0,"nats_server":"x",
            "sent":{"metric":3,"heartbeat":1,"monitoring":0,"response":0}}"#;
        let status: HeartbeatStatus = serde_json::from_str(old).unwrap();
        assert_eq!((status.sent.metric, status.dropped.is_zero()), (3, true));
        let written = serde_json::to_value(&status).unwrap();
        let mut fields: Vec<&str> =
            written.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["connected", "reconnects", "sent", "uptime"]);
    }
}
