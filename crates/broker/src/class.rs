//! The kinds of messages that a device sends, without a metric's name.

use protocol::Kind;
use protocol::limits::{
    HEARTBEAT_PAYLOAD_MAX_BYTES, METRIC_PAYLOAD_MAX_BYTES, MONITORING_PAYLOAD_MAX_BYTES,
    RESPONSE_PAYLOAD_MAX_BYTES,
};

/// A kind without its metric; in the order in which they are sent when several wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Heartbeat,
    Response,
    Monitoring,
    Metric,
}

impl Class {
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Heartbeat, Self::Response, Self::Monitoring, Self::Metric];
    pub(crate) const COUNT: usize = 4;
    /// The least missed first: what makes room when there is too much.
    pub(crate) const DROP_ORDER: [Self; Self::COUNT] =
        [Self::Metric, Self::Heartbeat, Self::Monitoring, Self::Response];

    pub(crate) const fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Metric(_) => Some(Self::Metric),
            Kind::Heartbeat => Some(Self::Heartbeat),
            Kind::Monitoring => Some(Self::Monitoring),
            Kind::Response => Some(Self::Response),
            Kind::Command | Kind::Renewal => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Response => "response",
            Self::Monitoring => "monitoring",
            Self::Metric => "metric",
        }
    }

    pub(crate) const fn payload_max_bytes(self) -> usize {
        match self {
            Self::Heartbeat => HEARTBEAT_PAYLOAD_MAX_BYTES,
            Self::Response => RESPONSE_PAYLOAD_MAX_BYTES,
            Self::Monitoring => MONITORING_PAYLOAD_MAX_BYTES,
            Self::Metric => METRIC_PAYLOAD_MAX_BYTES,
        }
    }

    /// Whether the oldest in memory makes room, rather than the newest being refused.
    pub(crate) const fn drops_oldest(self) -> bool {
        matches!(self, Self::Heartbeat | Self::Metric)
    }
}
