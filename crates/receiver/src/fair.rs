//! Fair shares: while points wait, no tenant takes much more of a batch than the others.
//!
//! What a tenant has beyond its share is put off: packed into parcels, published to
//! `METRICS_DEFERRED`, and written when this receiver has caught up. So everybody else's points
//! are reached as fast as messages can be set aside, not as fast as a flood can be written.
//!
//! Promises: nothing is dropped or parked for it; where the parcel is not confirmed its points are
//! written at once, as if there were no shares. Without a backlog nothing is put off; a tenant that
//! is alone, or no busier than the others, has all it sends written at once. What is kept of a
//! tenant is one number.

mod shares;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker::{Broker, Deferred, Delivery, PublishError};
use futures::future::join_all;
use protocol::{DeferredPoint, pack, parcel_subject};
use tokio::time::Instant;

use crate::batch::{Accepted, Batch};
use crate::hold::Source;
use crate::lanes::Lane;
use shares::{Recent, beyond, count};

/// Points are behind from so many on that wait for any receiver.
const BEHIND_FROM_MESSAGES: u64 = 2_000;
/// After a parcel was refused, how long nothing is put off.
const DEFER_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long after the last sign of a backlog deferred points still wait.
const CALM_AFTER: Duration = Duration::from_millis(500);

/// Whether points wait, as the lane of metrics sees it, for those that give way to it.
#[derive(Clone, Debug)]
pub(crate) struct Backlog(Arc<Mutex<Instant>>);

impl Default for Backlog {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Backlog {
    fn seen(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + CALM_AFTER;
    }

    /// Waits until there has been no backlog for a while.
    pub(crate) async fn over(&self) {
        loop {
            let calm_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if calm_at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(calm_at).await;
        }
    }
}

/// Sees to it that tenants share a lane.
#[derive(Debug)]
pub(crate) struct FairShare {
    /// Times the points of the middle tenant; 0: no shares.
    times: u32,
    recent: Recent,
    backlog: Backlog,
    not_before: Instant,
}

impl FairShare {
    pub(crate) fn new(times: u32, backlog: Backlog) -> Self {
        let now = Instant::now();
        Self { times, recent: Recent::new(now), backlog, not_before: now }
    }

    /// For lanes that put nothing off.
    pub(crate) fn none() -> Self {
        Self::new(0, Backlog::default())
    }

    /// Puts off what tenants have beyond their shares, if points wait.
    pub(crate) async fn put_off<L: Lane>(
        &mut self,
        broker: &Broker,
        source: &mut Source,
        mut batch: Batch<L::Record>,
    ) -> Batch<L::Record> {
        if self.times == 0 {
            return batch;
        }
        let tenant = |accepted: &Accepted<L::Record>| L::point(&accepted.record).map(|p| p.tenant);
        let counts = count(batch.accepted.iter().filter_map(tenant));
        self.recent.add(&counts, Instant::now());
        let waiting = batch.accepted.last().map_or(0, |last| last.delivery.waiting());
        if waiting < BEHIND_FROM_MESSAGES {
            return batch;
        }
        self.backlog.seen();
        let shares = self.recent.shares(&counts, self.times);
        if shares.is_empty() || Instant::now() < self.not_before {
            return batch;
        }
        let excess = beyond(shares, &mut batch.accepted, tenant);
        let mut publishing = Vec::with_capacity(excess.len());
        for (tenant, points) in &excess {
            publishing.push(broker.defer(parcel_subject(*tenant), packed::<L>(points).into()));
        }
        let kept = batch.accepted.iter().chain(excess.iter().flat_map(|(_, points)| points));
        let held: Vec<&Delivery> = kept
            .map(|accepted| &accepted.delivery)
            .chain(batch.rejected.iter().map(|(delivery, _)| delivery))
            .collect();
        let confirmed = source.keep_alive_during(&held, true, join_all(publishing)).await;
        for ((_, points), proof) in excess.into_iter().zip(confirmed) {
            self.settle_with(&mut batch, points, proof);
        }
        batch
    }

    fn settle_with<R>(
        &mut self,
        batch: &mut Batch<R>,
        points: Vec<Accepted<R>>,
        proof: Result<Deferred, PublishError>,
    ) {
        match proof {
            Ok(proof) => {
                let deferred = points.into_iter().map(|point| (point.delivery, proof.clone()));
                batch.deferred.extend(deferred);
            }
            Err(error) => {
                tracing::warn!(%error, "points beyond a tenant's share are written at once");
                self.not_before = Instant::now() + DEFER_AGAIN_AFTER;
                batch.accepted.extend(points);
            }
        }
    }
}

/// The payload of a parcel.
fn packed<L: Lane>(points: &[Accepted<L::Record>]) -> Vec<u8> {
    let mut deferred = Vec::with_capacity(points.len());
    for Accepted { record, delivery, .. } in points {
        deferred.extend(L::point(record).map(|point| DeferredPoint {
            point: point.clone(),
            received: delivery.published(),
            message_id: delivery.message_id(),
        }));
    }
    pack(&deferred)
}
