//! When a ring's life is renewed: not with every write, but once a while.
//!
//! A life is given with that while on top, so that a ring is there for at least its time to live
//! after its last point, and a tenth of it longer at most. Promises: what is remembered is bounded;
//! a ring that is not remembered is renewed with every write.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use protocol::{DeviceId, MetricType};

/// Lives are renewed at most once in this share of a ring's time to live.
const RENEWED_SHARE: u64 = 10;
/// Rings that are remembered, by 9 bytes each.
const REMEMBERED_MAX_RINGS: usize = 450_000;

/// Which rings' lives were renewed of late.
#[derive(Debug)]
pub(super) struct Lives {
    ttl_seconds: u64,
    /// By a hash of their names: two rings in 10¹⁹ share one.
    renewed: HashSet<u64>,
    hashing: RandomState,
    /// When all are renewed again.
    until: Instant,
}

impl Lives {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl_seconds: ttl.as_secs(),
            renewed: HashSet::new(),
            hashing: RandomState::new(),
            until: Instant::now(),
        }
    }

    /// What a ring is given whose life is renewed.
    pub(super) const fn seconds(&self) -> u64 {
        self.ttl_seconds + self.ttl_seconds / RENEWED_SHARE
    }

    /// Whether a ring's life is to be renewed now. The caller does it: the ring counts as renewed.
    pub(super) fn is_due(&mut self, device: DeviceId, metric: &MetricType, now: Instant) -> bool {
        if now >= self.until {
            self.renewed.clear();
            self.until = now + Duration::from_secs(self.ttl_seconds / RENEWED_SHARE);
        }
        let ring = self.hashing.hash_one((device, metric));
        if self.renewed.len() >= REMEMBERED_MAX_RINGS {
            return !self.renewed.contains(&ring);
        }
        self.renewed.insert(ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(device: u128) -> (DeviceId, MetricType) {
        (DeviceId::new(uuid::Uuid::from_u128(device)), "uptime".parse().unwrap())
    }

    #[test]
    fn a_ring_lives_for_its_time_after_any_of_its_points() {
        let (mut lives, start) = (Lives::new(Duration::from_secs(60)), Instant::now());
        let (device, metric) = ring(1);
        let mut ends = start;
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            if lives.is_due(device, &metric, now) {
                ends = now + Duration::from_secs(lives.seconds());
            }
            let left = ends - now;
            assert!((60..=66).contains(&left.as_secs()), "{left:?} after a point at {second} s");
        }
    }

    #[test]
    fn each_ring_is_renewed_for_itself_and_a_short_life_always() {
        let (mut lives, now) = (Lives::new(Duration::from_secs(900)), Instant::now());
        for device in 0..10 {
            let (device, metric) = ring(device);
            assert!(lives.is_due(device, &metric, now));
            assert!(!lives.is_due(device, &metric, now));
        }
        let (mut short, (device, metric)) = (Lives::new(Duration::from_secs(9)), ring(1));
        let now = Instant::now();
        assert!(short.is_due(device, &metric, now) && short.is_due(device, &metric, now));
    }
}
