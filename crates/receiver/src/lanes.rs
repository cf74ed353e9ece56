//! The lanes: what each stream's messages become, and where they are written.
//!
//! Lanes share nothing but their sinks' servers, so none queues behind another.

use broker::Delivery;
use protocol::{
    CommandResponse, DeferredPoint, Event, Heartbeat, MetricPoint, MonitoringReport, Reject,
    UnixMillis, unpack,
};
use storage::{
    HeartbeatWrite, OfflineRule, RealtimeBody, RealtimeWrite, Records, RingWrite, Rings,
    Unavailable, Written,
};
use tokio::time::Instant;

use crate::batch::{Accepted, Decoded, decode_event};
use crate::refusals::Refusals;

/// One stream's way into its sink.
pub(crate) trait Lane {
    /// What a message of the stream says.
    type Record: Send + Sync;

    /// The record of an event, or `None` where such an event has no place in this stream.
    fn record(event: Event) -> Option<Self::Record>;

    /// Reads a message of the stream.
    fn decode(delivery: &Delivery) -> Result<Decoded<Self::Record>, Reject>
    where
        Self: Sized,
    {
        decode_event::<Self>(delivery)
    }

    /// The point that waits in a parcel where its tenant has more than its share; `None` where
    /// nothing is put off.
    fn point(_record: &Self::Record) -> Option<&MetricPoint> {
        None
    }

    /// Points or rows that a message of the stream is in its sink.
    fn effects(_record: &Self::Record) -> usize {
        1
    }

    /// Writes a batch; the answers stand in its order. `repeated`: an earlier attempt may have
    /// written some of it.
    fn write(
        &self,
        batch: &[Accepted<Self::Record>],
        repeated: bool,
    ) -> impl Future<Output = Result<Vec<Written>, Unavailable>> + Send;
}

/// `METRICS` into the rings.
#[derive(Clone)]
pub(crate) struct Metrics(pub(crate) Rings);

impl Lane for Metrics {
    type Record = MetricPoint;

    fn record(event: Event) -> Option<MetricPoint> {
        let Event::Metric(point) = event else { return None };
        Some(point)
    }

    fn point(record: &MetricPoint) -> Option<&MetricPoint> {
        Some(record)
    }

    async fn write(
        &self,
        batch: &[Accepted<MetricPoint>],
        repeated: bool,
    ) -> Result<Vec<Written>, Unavailable> {
        let (mut writes, now) = (Vec::with_capacity(batch.len()), Instant::now());
        for accepted in batch {
            let Accepted { delivery, record, .. } = accepted;
            writes.push(RingWrite {
                number: accepted.number("metric"),
                point: record,
                received: delivery.published(),
                repeated: repeated || delivery.may_be_repeated(now),
            });
        }
        self.0.write(&writes).await
    }
}

/// `METRICS_DEFERRED` into the rings: parcels of points, each written as a whole.
#[derive(Clone)]
pub(crate) struct DeferredMetrics(pub(crate) Rings);

impl Lane for DeferredMetrics {
    type Record = Vec<DeferredPoint>;

    fn record(_event: Event) -> Option<Vec<DeferredPoint>> {
        None
    }

    fn decode(delivery: &Delivery) -> Result<Decoded<Vec<DeferredPoint>>, Reject> {
        let points = unpack(delivery.subject(), delivery.payload())?;
        let oldest = points.iter().map(|deferred| deferred.point.at).min();
        Ok((points, oldest.unwrap_or(UnixMillis::new(0)), None))
    }

    fn effects(parcel: &Vec<DeferredPoint>) -> usize {
        parcel.len()
    }

    async fn write(
        &self,
        batch: &[Accepted<Vec<DeferredPoint>>],
        _repeated: bool,
    ) -> Result<Vec<Written>, Unavailable> {
        let mut writes = Vec::new();
        for deferred in batch.iter().flat_map(|parcel| &parcel.record) {
            let id = deferred.message_id.as_ref();
            writes.push(RingWrite {
                number: id.and_then(|id| id.number("metric")),
                point: &deferred.point,
                received: deferred.received,
                // Newer points of its ring may be there already.
                repeated: true,
            });
        }
        let mut written = self.0.write(&writes).await?.into_iter();
        let mut parcels = Vec::with_capacity(batch.len());
        for parcel in batch {
            let points = written.by_ref().take(parcel.record.len());
            // One that cannot be written parks its parcel; the others are there, and come again
            // without effect.
            let whole = points.reduce(|whole, point| whole.and(point));
            parcels.extend(whole);
        }
        Ok(parcels)
    }
}

/// `HEARTBEATS` into each device's connectivity.
#[derive(Clone)]
pub(crate) struct Heartbeats(pub(crate) Records, pub(crate) OfflineRule);

impl Lane for Heartbeats {
    type Record = Heartbeat;

    fn record(event: Event) -> Option<Heartbeat> {
        let Event::Heartbeat(heartbeat) = event else { return None };
        Some(heartbeat)
    }

    async fn write(
        &self,
        batch: &[Accepted<Heartbeat>],
        _repeated: bool,
    ) -> Result<Vec<Written>, Unavailable> {
        let mut writes = Vec::with_capacity(batch.len());
        for accepted in batch {
            writes.push(HeartbeatWrite {
                heartbeat: &accepted.record,
                number: accepted.number("heartbeat"),
                received: accepted.delivery.published(),
            });
        }
        self.0.write_heartbeats(&writes, &self.1).await
    }
}

/// `MONITORING` into the records.
#[derive(Clone)]
pub(crate) struct Monitoring(pub(crate) Records);

impl Lane for Monitoring {
    type Record = MonitoringReport;

    fn record(event: Event) -> Option<MonitoringReport> {
        let Event::Monitoring(report) = event else { return None };
        Some(report)
    }

    async fn write(
        &self,
        batch: &[Accepted<MonitoringReport>],
        _repeated: bool,
    ) -> Result<Vec<Written>, Unavailable> {
        write_realtime(&self.0, batch, |report| RealtimeBody::Monitoring(report)).await
    }
}

/// `RESPONSES` into the records, with a count of what devices refused.
#[derive(Clone)]
pub(crate) struct Responses(pub(crate) Records, pub(crate) Refusals);

impl Lane for Responses {
    type Record = CommandResponse;

    fn record(event: Event) -> Option<CommandResponse> {
        let Event::Response(response) = event else { return None };
        Some(response)
    }

    async fn write(
        &self,
        batch: &[Accepted<CommandResponse>],
        _repeated: bool,
    ) -> Result<Vec<Written>, Unavailable> {
        let written =
            write_realtime(&self.0, batch, |response| RealtimeBody::Response(response)).await?;
        for (accepted, _) in batch.iter().zip(&written).filter(|(_, written)| written.is_ok()) {
            self.1.note(&accepted.record);
        }
        Ok(written)
    }
}

async fn write_realtime<R>(
    records: &Records,
    batch: &[Accepted<R>],
    body: fn(&R) -> RealtimeBody<'_>,
) -> Result<Vec<Written>, Unavailable> {
    let mut writes = Vec::with_capacity(batch.len());
    for accepted in batch {
        writes.push(RealtimeWrite {
            body: body(&accepted.record),
            key: accepted.key(),
            received: accepted.delivery.published(),
        });
    }
    records.write_realtime(&writes).await
}
