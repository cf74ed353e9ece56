//! How often somebody may ask: a bucket for each address and one for each token or session.
//!
//! Promises: a bound on memory whatever comes; who is over its rate is told how long to wait. Each
//! replica counts for itself. Refuses to tell good callers from bad ones: it counts requests.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use crate::guard::Peer;
use crate::problem::Problem;

/// What may be asked at once after a pause, in seconds of the rate.
const BURST_SECONDS: u32 = 5;

/// Buckets by key. A key's bucket is one of 65,536, by a hash that is another in each process: two
/// keys hardly ever share one, and there are never more.
pub(crate) struct Buckets<K> {
    limiter: RateLimiter<u16, HashMapStateStore<u16>, DefaultClock>,
    hasher: RandomState,
    key: std::marker::PhantomData<fn(K)>,
}

impl<K: Hash> Buckets<K> {
    /// Buckets that hold `burst` requests and get `per_second` back each second.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            limiter: RateLimiter::hashmap(quota(per_second, burst)),
            hasher: RandomState::new(),
            key: std::marker::PhantomData,
        }
    }

    /// Takes a request of `key`, or says how long until there is one.
    pub(crate) fn take(&self, key: &K) -> Result<(), Duration> {
        let [low, high, ..] = self.hasher.hash_one(key).to_le_bytes();
        let slot = u16::from_le_bytes([low, high]);
        let taken = self.limiter.check_key(&slot);
        taken.map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }
}

/// So many a second, and at once after a pause.
pub(crate) fn quota(per_second: u32, burst: u32) -> Quota {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst))
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

/// What the API allows; cheap to clone.
#[derive(Clone)]
pub(crate) struct Rates {
    callers: Arc<Buckets<Uuid>>,
    addresses: Arc<Buckets<IpAddr>>,
}

impl Rates {
    /// Requests a second of one token or session, and of one address.
    pub(crate) fn new(caller: u32, address: u32) -> Self {
        let burst = |per_second: u32| per_second.saturating_mul(BURST_SECONDS);
        Self {
            callers: Arc::new(Buckets::new(caller, burst(caller))),
            addresses: Arc::new(Buckets::new(address, burst(address))),
        }
    }

    /// Counts a request of who is signed in by the token or session of this id.
    pub(crate) fn caller(&self, id: Uuid) -> Result<(), Problem> {
        let taken = self.callers.take(&id);
        taken.map_err(|wait| Problem::too_many_requests("this token or session", wait))
    }

    fn address(&self, peer: IpAddr) -> Result<(), Problem> {
        let taken = self.addresses.take(&network(peer));
        taken.map_err(|wait| Problem::too_many_requests("this address", wait))
    }
}

/// Refuses what comes too often from one address, before anything is looked up for it.
pub(crate) async fn by_address(
    State(rates): State<Rates>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    match rates.address(peer) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_burst_then_waits_and_takes_nothing_from_another() {
        let buckets = Buckets::<u32>::new(1, 30);
        for _ in 0..30 {
            buckets.take(&1).unwrap();
        }
        let wait = buckets.take(&1).unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        // Of many others hardly one can share its bucket.
        let refused = (2..50).filter(|number| buckets.take(number).is_err());
        assert!(refused.count() <= 1);
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let buckets = Buckets::new(1, 1);
        for number in 0..200_000_u32 {
            let _ = buckets.take(&number);
        }
        assert!(buckets.limiter.len() <= 1 << 16);
    }

    #[test]
    fn a_whole_network_of_the_newer_protocol_is_one_source() {
        let [one, other, else_where] = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"]
            .map(|text| network(text.parse().unwrap()));
        assert_eq!(one, other);
        assert_ne!(one, else_where);
    }
}
