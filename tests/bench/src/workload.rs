//! The messages of a run: what a fleet of devices reports, in the order in which it would.
//!
//! Promises: devices take turns and send their six metrics together, as agents do, each numbers its
//! own messages without gaps; every point of a ring has a time stamp of its own; no message id is
//! used twice.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::Result;
use broker::{Broker, Ticket};
use bytes::Bytes;
use protocol::{
    AGENT_METRICS, DeviceId, DeviceSubject, Kind, MessageId, MetricBody, MetricType, SessionId,
    TenantId, UnixMillis,
};
use uuid::Uuid;

use crate::measure::count;

/// Publishes whose confirmation is awaited at one time.
const ACKS_IN_FLIGHT: usize = 1_000;
/// Values repeat after this many points; a prime, so that metrics do not move together.
const VALUES: usize = 997;
/// How often a paced publisher looks what is due.
const PACE: Duration = Duration::from_millis(5);
/// About as fast as a backlog is published, so that no point looks as if it came late.
const POINTS_A_MILLISECOND: usize = 50;

/// The devices of a run.
pub(crate) struct Fleet {
    devices: Vec<(TenantId, DeviceId)>,
    metrics: Vec<MetricType>,
}

/// One point, before it is anybody's format.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    device: usize,
    metric: usize,
    pub(crate) at: UnixMillis,
    pub(crate) value: f64,
}

/// The ids that devices give their messages of one kind: each counts its own, in a run of its own.
#[derive(Default)]
pub(crate) struct Numbers(HashMap<DeviceId, (SessionId, u64)>);

impl Numbers {
    pub(crate) fn next(&mut self, device: DeviceId, kind: &Kind) -> MessageId {
        let (session, counter) = self.0.entry(device).or_insert_with(|| (SessionId::start(), 0));
        *counter += 1;
        MessageId::numbered(*session, kind, *counter)
    }
}

/// One response as it is published and as it is stored.
pub(crate) struct Response {
    pub(crate) tenant: TenantId,
    pub(crate) device: DeviceId,
    pub(crate) command_id: String,
    pub(crate) at: UnixMillis,
    pub(crate) payload: String,
}

impl Fleet {
    /// So many devices, spread over the tenants.
    pub(crate) fn new(tenants: &[TenantId], devices: usize) -> Result<Self> {
        let metrics: Result<Vec<_>, _> = AGENT_METRICS.iter().map(|name| name.parse()).collect();
        let mut members = Vec::with_capacity(devices);
        for tenant in tenants.iter().cycle().take(devices) {
            members.push((*tenant, DeviceId::new(Uuid::now_v7())));
        }
        Ok(Self { devices: members, metrics: metrics? })
    }

    /// How many rings that many points fill.
    pub(crate) fn rings(&self, points: usize) -> usize {
        points.min(self.devices.len() * self.metrics.len())
    }

    /// The next points of the fleet, measured from now on.
    pub(crate) fn points(&self, messages: usize) -> Vec<Point> {
        let mut points = Vec::with_capacity(messages);
        let mut at = UnixMillis::now();
        let round = self.devices.len() * self.metrics.len();
        let round_ms = i64::try_from(round / POINTS_A_MILLISECOND).unwrap_or(i64::MAX).max(1);
        while points.len() < messages {
            for device in 0..self.devices.len() {
                for metric in 0..self.metrics.len() {
                    let value = count((points.len() * 7) % VALUES) / 10.0;
                    points.push(Point { device, metric, at, value });
                }
            }
            at = UnixMillis::new(at.get() + round_ms);
        }
        points.truncate(messages);
        points
    }

    /// Whose point it is, and of what.
    pub(crate) fn of(&self, point: &Point) -> (TenantId, DeviceId, &MetricType) {
        let (tenant, device) = self.devices[point.device];
        (tenant, device, &self.metrics[point.metric])
    }

    /// The name of a point's ring, after the prefix.
    pub(crate) fn ring(&self, point: &Point) -> String {
        format!("{}:{}", self.devices[point.device].1, self.metrics[point.metric])
    }

    /// A point's number among the rings.
    pub(crate) const fn ring_number(&self, point: &Point) -> usize {
        point.device * AGENT_METRICS.len() + point.metric
    }

    /// The next responses of the fleet.
    pub(crate) fn responses(&self, messages: usize) -> Vec<Response> {
        let mut responses = Vec::with_capacity(messages);
        let at = UnixMillis::now();
        for (tenant, device) in self.devices.iter().cycle().take(messages) {
            let command_id = Uuid::now_v7().to_string();
            let payload = serde_json::json!({
                "command_id": command_id, "device_uuid": device, "timestamp_ms": at,
                "result": {
                    "command_id": command_id, "status": "success",
                    "result": { "platform": "linux", "hostname": "desk-17", "uptime": 86_400.5,
                        "cpu_percent": 12.5, "memory_percent": 48.1, "process_count": 211 },
                },
            });
            let payload = payload.to_string();
            responses.push(Response { tenant: *tenant, device: *device, command_id, at, payload });
        }
        responses
    }

    /// Publishes the next points of the fleet for as long as `span`, so many a second; each is
    /// measured when it is sent. Returns how many.
    pub(crate) async fn publish_paced(
        &self,
        broker: &Broker,
        a_second: usize,
        span: Duration,
    ) -> Result<usize> {
        let points = self.points(self.devices.len() * self.metrics.len());
        let (mut points, mut numbers) = (points.iter().cycle(), Numbers::default());
        let mut way = Way::new(broker);
        let started = Instant::now();
        let mut tick = tokio::time::interval(PACE);
        let mut sent = 0;
        while started.elapsed() < span {
            tick.tick().await;
            let due = due(a_second, started.elapsed());
            for point in points.by_ref().take(due.saturating_sub(sent)) {
                let (tenant, device) = self.devices[point.device];
                let metric = &self.metrics[point.metric];
                let point = Point { at: UnixMillis::now(), ..*point };
                let kind = Kind::Metric(metric.clone());
                let id = numbers.next(device, &kind);
                let body = body(device, tenant, metric, &point)?;
                way.send(&DeviceSubject::new(tenant, device, kind), &id, body).await?;
                sent += 1;
            }
        }
        way.confirm_all().await?;
        Ok(sent)
    }

    /// Publishes points as the broker stamps them, and waits until the stream has them all.
    pub(crate) async fn publish_points(&self, broker: &Broker, points: &[Point]) -> Result<()> {
        let (mut numbers, mut way) = (Numbers::default(), Way::new(broker));
        for point in points {
            let (tenant, device) = self.devices[point.device];
            let kind = Kind::Metric(self.metrics[point.metric].clone());
            let id = numbers.next(device, &kind);
            let body = body(device, tenant, &self.metrics[point.metric], point)?;
            way.send(&DeviceSubject::new(tenant, device, kind), &id, body).await?;
        }
        way.confirm_all().await
    }
}

/// Publishes responses, and waits until the stream has them all.
pub(crate) async fn publish_responses(broker: &Broker, responses: &[Response]) -> Result<()> {
    let (mut numbers, mut way) = (Numbers::default(), Way::new(broker));
    for response in responses {
        let subject = DeviceSubject::new(response.tenant, response.device, Kind::Response);
        let id = numbers.next(response.device, &Kind::Response);
        way.send(&subject, &id, Bytes::from(response.payload.clone())).await?;
    }
    way.confirm_all().await
}

/// How many of `a_second` are due after `elapsed`.
fn due(a_second: usize, elapsed: Duration) -> usize {
    let milliseconds = usize::try_from(elapsed.as_millis()).unwrap_or(usize::MAX);
    a_second.saturating_mul(milliseconds) / 1000
}

/// A point as an agent writes it.
pub(crate) fn body(
    device: DeviceId,
    tenant: TenantId,
    metric: &MetricType,
    point: &Point,
) -> Result<Bytes> {
    let body = MetricBody {
        device_uuid: device,
        tenant_uuid: tenant,
        metric_type: metric,
        value: point.value,
        timestamp_ms: point.at,
    };
    Ok(Bytes::from(serde_json::to_vec(&body)?))
}

/// Publishes with many confirmations under way.
struct Way<'a> {
    broker: &'a Broker,
    tickets: VecDeque<Ticket>,
}

impl<'a> Way<'a> {
    const fn new(broker: &'a Broker) -> Self {
        Self { broker, tickets: VecDeque::new() }
    }

    async fn send(&mut self, subject: &DeviceSubject, id: &MessageId, body: Bytes) -> Result<()> {
        if self.tickets.len() >= ACKS_IN_FLIGHT
            && let Some(oldest) = self.tickets.pop_front()
        {
            oldest.confirmed().await?;
        }
        self.tickets.push_back(self.broker.publish(subject.to_string(), id, body).await?);
        Ok(())
    }

    async fn confirm_all(self) -> Result<()> {
        for ticket in self.tickets {
            ticket.confirmed().await?;
        }
        Ok(())
    }
}
