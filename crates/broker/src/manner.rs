//! How a connection behaves: a service's comes back at once, those of a fleet apart from each other.

use std::time::Duration;

use runtime::retry::reconnect_delay;

use crate::Link;

/// Span over which a service's first reconnection is spread: there are few of them.
const RECONNECT_SPREAD: Duration = Duration::from_millis(250);
/// Longest span over which reconnections are spread, unless the first is longer.
const RECONNECT_LONGEST: Duration = Duration::from_secs(30);
/// Interval of pings; two unanswered ones end a half-open connection.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// As that, for one of thousands of connections of one process: their pings alone would fill a core.
const PING_INTERVAL_SPARING: Duration = Duration::from_secs(60);

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Interval of pings; two unanswered ones end a half-open connection.
    pub ping_interval: Duration,
    /// Span over which the first reconnection is spread; the span doubles with each failure, up to
    /// 30 s where it is not longer from the start.
    pub reconnect_spread: Duration,
    /// Where to read how it fares.
    pub link: Link,
}

impl Default for Manner {
    /// As befits a service.
    fn default() -> Self {
        Self {
            ping_interval: PING_INTERVAL,
            reconnect_spread: RECONNECT_SPREAD,
            link: Link::default(),
        }
    }
}

impl Manner {
    /// For one of thousands of connections of one process: it pings seldom, so that a half-open
    /// connection is noticed after minutes only.
    #[must_use]
    pub fn sparing(reconnect_spread: Duration) -> Self {
        Self { ping_interval: PING_INTERVAL_SPARING, reconnect_spread, link: Link::default() }
    }

    /// For a device, of which there are many: `reconnect_spread` keeps them apart.
    #[must_use]
    pub fn device(reconnect_spread: Duration, link: Link) -> Self {
        Self { reconnect_spread, link, ..Self::default() }
    }

    /// How long to wait before attempt number `attempt` at a connection.
    pub(crate) fn delay(&self, attempt: usize) -> Duration {
        if self.link.take_hurry() { Duration::ZERO } else { self.pause(attempt) }
    }

    /// The same where the attempt before has failed.
    pub(crate) fn pause(&self, attempt: usize) -> Duration {
        let longest = RECONNECT_LONGEST.max(self.reconnect_spread);
        reconnect_delay(attempt, self.reconnect_spread, longest)
    }
}
