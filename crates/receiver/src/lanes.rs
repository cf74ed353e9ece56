//! The lanes: what each stream's messages become, and where they are written.
//!
//! Lanes share nothing but their sinks' servers, so none queues behind another.

use protocol::{CommandResponse, Event, Heartbeat, MetricPoint, MonitoringReport};
use storage::{
    HeartbeatWrite, OfflineRule, RealtimeBody, RealtimeWrite, Records, RingWrite, Rings,
    Unavailable, Written,
};

use crate::batch::Accepted;

/// One stream's way into its sink.
pub(crate) trait Lane {
    /// What a message of the stream says.
    type Record: Send + Sync;

    /// The record of an event, or `None` where such an event has no place in this stream.
    fn record(event: Event) -> Option<Self::Record>;

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

    async fn write(
        &self,
        batch: &[Accepted<MetricPoint>],
        repeated: bool,
    ) -> Result<Vec<Written>, Unavailable> {
        let mut writes = Vec::with_capacity(batch.len());
        for accepted in batch {
            let Accepted { delivery, record, .. } = accepted;
            writes.push(RingWrite {
                number: accepted.number("metric"),
                point: record,
                received: delivery.published(),
                repeated: repeated || delivery.may_be_repeated(),
            });
        }
        self.0.write(&writes).await
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

/// `RESPONSES` into the records.
#[derive(Clone)]
pub(crate) struct Responses(pub(crate) Records);

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
        write_realtime(&self.0, batch, |response| RealtimeBody::Response(response)).await
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
