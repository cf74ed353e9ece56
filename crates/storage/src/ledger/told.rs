//! What a device says of its own books.

use protocol::{Heartbeat, HeartbeatStatus, KindCounts, SessionId};
use serde::{Deserialize, Serialize};

/// What a device says of one run of its agent, a number a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The highest number given out.
    pub sent: KindCounts,
    /// Messages that waited on the device or were under way.
    pub spooled: KindCounts,
    /// Messages that the device gave up.
    pub dropped: KindCounts,
}

#[derive(Deserialize)]
struct Details {
    status: HeartbeatStatus,
}

/// What a heartbeat tells of its own session and of earlier ones; nothing where its agent does not
/// number its messages.
pub(super) fn told(heartbeat: &Heartbeat) -> Vec<(SessionId, Told)> {
    let Ok(Details { status }) = serde_json::from_str(&heartbeat.details) else {
        return Vec::new();
    };
    let mut told = Vec::new();
    let session = heartbeat.session.as_deref().and_then(|session| session.parse().ok());
    if let Some(session) = session
        && !status.sent.is_zero()
    {
        let dropped = KindCounts {
            metric: status.dropped.metric.total(),
            heartbeat: status.dropped.heartbeat.total(),
            monitoring: status.dropped.monitoring.total(),
            response: status.dropped.response.total(),
        };
        told.push((session, Told { sent: status.sent, spooled: status.spooled, dropped }));
    }
    for earlier in status.earlier_sessions.iter().take(protocol::limits::EARLIER_SESSIONS_MAX) {
        let (sent, spooled, dropped) = (earlier.sent, earlier.spooled, earlier.dropped);
        if Some(earlier.session_id) != session {
            told.push((earlier.session_id, Told { sent, spooled, dropped }));
        }
    }
    told
}
