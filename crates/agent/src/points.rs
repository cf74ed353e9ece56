//! Live metrics of one collector, at their interval.
//!
//! Promises: a measurement that takes longer than the interval skips the next, and no two are
//! bunched; a value that is not finite is not sent.

use std::time::Duration;

use broker::{Outbox, Sender};
use bytes::Bytes;
use protocol::{Kind, MetricBody};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::collect::{Patient, Point};

/// A collector is given at least this long, however short the interval.
const COLLECT_WITHIN_AT_LEAST: Duration = Duration::from_secs(1);

pub(crate) struct Points {
    pub(crate) collector: Patient<Vec<Point>>,
    pub(crate) sender: Sender,
    pub(crate) outbox: Outbox,
}

impl Points {
    /// Reports as long as `interval` has a sender; from the next look on, at what it has become.
    pub(crate) async fn report(mut self, mut interval: watch::Receiver<Duration>) {
        loop {
            let every = *interval.borrow_and_update();
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let changed = loop {
                tokio::select! {
                    _ = ticks.tick() => self.look(every.max(COLLECT_WITHIN_AT_LEAST)).await,
                    changed = interval.changed() => break changed,
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn look(&mut self, within: Duration) {
        if let Some(taken) = self.collector.collect(within).await {
            for point in taken.reading.into_iter().filter(|point| point.value.is_finite()) {
                self.hand_over(point, taken.at);
            }
        }
    }

    fn hand_over(&self, point: Point, at: protocol::UnixMillis) {
        let body = MetricBody {
            device_uuid: self.sender.device,
            tenant_uuid: self.sender.tenant,
            metric_type: &point.metric,
            value: point.value,
            timestamp_ms: at,
        };
        let handed = serde_json::to_vec(&body).map_err(anyhow::Error::from).and_then(|body| {
            Ok(self.outbox.hand_over(Kind::Metric(point.metric.clone()), at, Bytes::from(body))?)
        });
        if let Err(error) = handed {
            tracing::warn!(metric = %point.metric, %error, "metric point not taken");
        }
    }
}
