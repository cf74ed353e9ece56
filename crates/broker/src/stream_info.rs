//! What the server tells of a stream: what it holds, how full it is, and who keeps it.

use protocol::UnixMillis;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::consumers::millis;

/// What a stream holds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct StreamState {
    /// Messages that it keeps.
    pub messages: u64,
    /// What they take on disk.
    pub bytes: u64,
    /// Sequence of the oldest message that it keeps; of the next one where it keeps none.
    #[serde(rename = "first_seq")]
    pub first_sequence: u64,
    #[serde(with = "time::serde::rfc3339", rename = "first_ts")]
    first_taken: OffsetDateTime,
    /// Sequence of the newest message: how many it has taken since it was made.
    #[serde(rename = "last_seq")]
    pub last_sequence: u64,
    #[serde(with = "time::serde::rfc3339", rename = "last_ts")]
    last_taken: OffsetDateTime,
    /// Consumers of it.
    #[serde(default)]
    pub consumer_count: u64,
}

impl StreamState {
    /// When the broker took the newest message; of no meaning where it never took one.
    #[must_use]
    pub fn last_taken(&self) -> UnixMillis {
        millis(self.last_taken)
    }

    /// When the broker took the oldest message that it keeps.
    #[must_use]
    pub fn first_taken(&self) -> UnixMillis {
        millis(self.first_taken)
    }
}

/// How full a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamUsage {
    /// Messages that it keeps.
    pub messages: u64,
    /// What they take on disk.
    pub bytes: u64,
    /// What they may take; `None`: as much as there is.
    pub limit_bytes: Option<u64>,
    /// Messages that it has taken since it was made.
    pub taken: u64,
    /// Servers that keep it.
    pub copies: usize,
    /// Those of them that have all of it.
    pub copies_current: usize,
}

#[derive(Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) state: StreamState,
    config: StreamLimits,
    #[serde(default)]
    cluster: Option<Cluster>,
}

/// Who keeps a stream, where servers form a cluster.
#[derive(Deserialize)]
struct Cluster {
    #[serde(default)]
    leader: Option<String>,
    /// Those that follow.
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    current: bool,
}

#[derive(Deserialize)]
struct StreamLimits {
    max_bytes: i64,
}

impl StreamInfo {
    pub(crate) fn usage(&self) -> StreamUsage {
        // A server on its own has no cluster, and all there is.
        let (mut copies, mut copies_current) = (1, 1);
        if let Some(cluster) = &self.cluster {
            let following = cluster.replicas.iter().filter(|replica| replica.current).count();
            copies = cluster.replicas.len() + 1;
            copies_current = following + usize::from(cluster.leader.is_some());
        }
        StreamUsage {
            messages: self.state.messages,
            bytes: self.state.bytes,
            // The server writes -1 for "no limit".
            limit_bytes: u64::try_from(self.config.max_bytes).ok(),
            taken: self.state.last_sequence,
            copies,
            copies_current,
        }
    }
}
