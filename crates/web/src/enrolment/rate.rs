//! How often others may try to enrol: a bucket a source, and one for all.
//!
//! Promises: a bound on memory whatever comes.

use std::net::IpAddr;
use std::time::Duration;

use governor::DefaultDirectRateLimiter;
use governor::clock::Clock as _;

use crate::guard::rate::{Buckets, network, quota};

/// Tries that one source may make at once, and how many come back each second.
const SOURCE_BURST_TRIES: u32 = 30;
const SOURCE_TRIES_A_SECOND: u32 = 1;
/// The same for all sources together.
const COMMON_BURST_TRIES: u32 = 200;
const COMMON_TRIES_A_SECOND: u32 = 50;

/// The buckets.
pub(crate) struct Tries {
    common: DefaultDirectRateLimiter,
    sources: Buckets<IpAddr>,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self {
            common: DefaultDirectRateLimiter::direct(quota(
                COMMON_TRIES_A_SECOND,
                COMMON_BURST_TRIES,
            )),
            sources: Buckets::new(SOURCE_TRIES_A_SECOND, SOURCE_BURST_TRIES),
        }
    }

    /// Takes a try of `source`, or says how long until there is one.
    pub(crate) fn take(&self, source: IpAddr) -> Result<(), Duration> {
        let common = self.common.check();
        common.map_err(|until| until.wait_time_from(self.common.clock().now()))?;
        self.sources.take(&network(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_burst_and_all_together_have_theirs() {
        let tries = Tries::new();
        let source = |number: u32| IpAddr::V4(number.into());
        for _ in 0..SOURCE_BURST_TRIES {
            tries.take(source(1)).unwrap();
        }
        tries.take(source(1)).unwrap_err();
        tries.take(source(2)).unwrap();
        let refused = (3..1_003).filter(|number| tries.take(source(*number)).is_err()).count();
        assert!(refused > 500, "{refused}");
    }
}
