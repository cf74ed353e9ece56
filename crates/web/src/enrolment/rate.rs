//! How often others may try to enrol: a bucket a source, and one for all.
//!
//! Promises: a bound on memory whatever comes. The common bucket lets fewer sources in than the
//! table has room for within the time that a source's bucket needs to fill; full ones are forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tries that one source may make at once, and how long each takes to come back.
const SOURCE_BURST_TRIES: u32 = 30;
const SOURCE_TRY_EVERY: Duration = Duration::from_secs(1);
/// The same for all sources together.
const COMMON_BURST_TRIES: u32 = 200;
const COMMON_TRY_EVERY: Duration = Duration::from_millis(20);
/// Sources that are remembered.
const SOURCES_MAX: usize = 4_096;

/// The buckets.
#[derive(Debug)]
pub(crate) struct Tries {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    common: Bucket,
    sources: HashMap<IpAddr, Bucket>,
}

/// When the bucket is full again; each try puts that off.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant, burst: u32, every: Duration) -> Result<(), Duration> {
        let from = self.full_at.max(now);
        let over = (from + every).saturating_duration_since(now + every * burst);
        if over > Duration::ZERO {
            return Err(over);
        }
        self.full_at = from + every;
        Ok(())
    }
}

impl Tries {
    pub(crate) fn new() -> Self {
        let common = Bucket { full_at: Instant::now() };
        Self { state: Mutex::new(State { common, sources: HashMap::new() }) }
    }

    /// Takes a try of `source`, or says how long until there is one.
    pub(crate) fn take(&self, source: IpAddr) -> Result<(), Duration> {
        self.take_at(Instant::now(), source)
    }

    fn take_at(&self, now: Instant, source: IpAddr) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.common.take(now, COMMON_BURST_TRIES, COMMON_TRY_EVERY)?;
        if state.sources.len() >= SOURCES_MAX {
            state.sources.retain(|_, bucket| bucket.full_at > now);
        }
        let source = state.sources.entry(network(source)).or_insert(Bucket { full_at: now });
        source.take(now, SOURCE_BURST_TRIES, SOURCE_TRY_EVERY)
    }
}

/// Whoever has one IPv6 address has the whole /64.
pub(crate) fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn a_source_has_its_burst_then_one_a_second_and_takes_nothing_from_another() {
        let tries = Tries::new();
        let now = Instant::now();
        for _ in 0..SOURCE_BURST_TRIES {
            tries.take_at(now, source(1)).unwrap();
        }
        assert_eq!(tries.take_at(now, source(1)).unwrap_err(), SOURCE_TRY_EVERY);
        tries.take_at(now, source(2)).unwrap();
        tries.take_at(now + SOURCE_TRY_EVERY, source(1)).unwrap();
    }

    #[test]
    fn the_table_stays_bounded_whoever_comes() {
        let tries = Tries::new();
        let start = Instant::now();
        let mut taken = 0;
        for number in 0..100_000_u32 {
            let now = start + Duration::from_millis(u64::from(number) * 2);
            taken += u32::from(tries.take_at(now, source(number)).is_ok());
            assert!(tries.state.lock().unwrap().sources.len() <= SOURCES_MAX);
        }
        // 200 s at 50 a second, and the burst.
        assert!((10_000..10_300).contains(&taken), "{taken}");
    }
}
