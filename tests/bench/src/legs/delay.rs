//! Leg (g): how long a point takes from its agent's publish until it can be read in Redis, while the
//! fleet publishes at 10%, 50% and 80% of the highest rate that is sustained.
//!
//! A device of its own sends one probe after the other and looks for it in its ring, about every
//! 150 µs, so a delay is told up to that much too long. The fleet's load is published within the
//! backend's account, which leaves the receiver more of the machine than agents would.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use broker::Broker;
use bytes::Bytes;
use protocol::{
    DeviceId, DeviceSubject, Kind, MessageId, MetricBody, MetricType, SessionId, TenantId,
    UnixMillis,
};

use super::{Backlog, drain, rings};
use crate::cost;
use crate::measure::{Delay, Leg, Sample, Watch, count};
use crate::workload::Fleet;
use crate::world::World;

/// Shares of the highest rate, in percent.
const SHARES_PERCENT: [usize; 3] = [10, 50, 80];
/// The part of a run's messages that finds the highest rate.
const HIGHEST_SHARE: usize = 2;
/// How long each share is measured.
const SPAN: Duration = Duration::from_secs(10);
/// The load runs this long before the first probe.
const WARM_UP: Duration = Duration::from_secs(1);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_micros(100);
/// A probe that takes longer is lost.
const PROBE_WITHIN: Duration = Duration::from_secs(20);

pub(crate) async fn measure(
    world: &World,
    fleet: &Fleet,
    run: usize,
    messages: usize,
) -> Result<Vec<Sample>> {
    let mut receiver = world.receiver(&[])?;
    let pid = receiver.id().context("the receiver has ended")?;
    let measured = measure_with(world, fleet, run, messages / HIGHEST_SHARE, pid).await;
    drain::stop(&mut receiver).await?;
    rings::empty(world).await?;
    world.purge("METRICS").await?;
    measured
}

async fn measure_with(
    world: &World,
    fleet: &Fleet,
    run: usize,
    messages: usize,
    receiver: u32,
) -> Result<Vec<Sample>> {
    world.purge("METRICS").await?;
    let backlog = Backlog { stream: "METRICS", consumer: "rings", messages };
    let meter = world.meter.with("receiver", receiver);
    let mut prober = Prober::new(world).await?;
    // The first probe waits for the receiver to be up.
    prober.probe().await?;
    let watch = Watch::start(&meter)?;
    fleet.publish_points(&world.operator, &fleet.points(messages)).await?;
    drain::settled(world, backlog).await?;
    let mut highest = watch.stop(Leg::Delay, run, messages)?;
    highest.variant = "highest rate".to_owned();
    let a_second = whole(highest.rate())?;
    let mut samples = vec![highest];
    for percent in SHARES_PERCENT {
        let watch = Watch::start(&meter)?;
        let load = fleet.publish_paced(&world.operator, a_second * percent / 100, SPAN);
        let (sent, delays) = tokio::join!(load, prober.probe_for(SPAN.saturating_sub(WARM_UP)));
        let mut sample = watch.stop(Leg::Delay, run, sent?)?;
        sample.variant = format!("at {percent}%");
        sample.delay = Delay::of(delays?);
        sample.cost.peak_rss_bytes = Some(cost::peak_rss_bytes(receiver)?);
        samples.push(sample);
        drain::settled(world, backlog).await?;
    }
    Ok(samples)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate in bounds")]
fn whole(rate: f64) -> Result<usize> {
    ensure!(rate.is_finite() && rate > 0.0 && rate < count(usize::MAX), "rate {rate}");
    Ok(rate as usize)
}

/// One device that sends a point and looks for it.
struct Prober {
    broker: Broker,
    tenant: TenantId,
    device: DeviceId,
    session: SessionId,
    metric: MetricType,
    sent: u64,
    ring: Option<Ring>,
}

impl Prober {
    async fn new(world: &World) -> Result<Self> {
        let tenant = *world.tenants.first().context("a world has tenants")?;
        let (device, broker) = world.device(tenant).await?;
        let metric: MetricType = "probe".parse()?;
        let ring = Some(Ring::connect(world, &format!("wegweiser:metrics:{device}:{metric}"))?);
        Ok(Self { broker, tenant, device, session: SessionId::start(), metric, sent: 0, ring })
    }

    /// Probes after a time of warming up; the delays in milliseconds.
    async fn probe_for(&mut self, span: Duration) -> Result<Vec<f64>> {
        tokio::time::sleep(WARM_UP).await;
        let started = Instant::now();
        let mut delays = Vec::new();
        while started.elapsed() < span {
            delays.push(self.probe().await?.as_secs_f64() * 1000.0);
        }
        Ok(delays)
    }

    async fn probe(&mut self) -> Result<Duration> {
        self.sent += 1;
        let number = self.sent;
        let kind = Kind::Metric(self.metric.clone());
        let id = MessageId::numbered(self.session, &kind, number);
        let subject = DeviceSubject::new(self.tenant, self.device, kind).as_published_by_device();
        let body = MetricBody {
            device_uuid: self.device,
            tenant_uuid: self.tenant,
            metric_type: &self.metric,
            value: count(usize::try_from(number)?),
            timestamp_ms: UnixMillis::now(),
        };
        let payload = Bytes::from(serde_json::to_vec(&body)?);
        let started = Instant::now();
        let ticket = self.broker.publish(subject, &id, payload).await?;
        let mut ring = self.ring.take().context("the probe before was lost")?;
        // A thread of its own: the async timer counts in milliseconds.
        let looking = tokio::task::spawn_blocking(move || {
            let seen = ring.wait_for(number);
            (ring, seen)
        });
        let (ring, seen) = looking.await?;
        ticket.confirmed().await?;
        self.ring = Some(ring);
        Ok(seen?.duration_since(started))
    }
}

/// A connection that looks at the newest point of one ring.
struct Ring {
    commands: TcpStream,
    answers: BufReader<TcpStream>,
    key: String,
}

impl Ring {
    fn connect(world: &World, key: &str) -> Result<Self> {
        let commands = TcpStream::connect((world.redis().host(), world.redis().port()))?;
        commands.set_nodelay(true)?;
        let answers = BufReader::new(commands.try_clone()?);
        let mut ring = Self { commands, answers, key: key.to_owned() };
        ring.ask("SELECT 3")?;
        Ok(ring)
    }

    /// Looks until the point with this value is the newest.
    fn wait_for(&mut self, value: u64) -> Result<Instant> {
        let wanted = format!("\"value\":{value}}}");
        let deadline = Instant::now() + PROBE_WITHIN;
        let look = format!("LINDEX {} 0", self.key);
        while Instant::now() < deadline {
            if self.ask(&look)?.contains(&wanted) {
                return Ok(Instant::now());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        bail!("probe {value} was not readable within {PROBE_WITHIN:?}")
    }

    /// The answer to a command, without its length.
    fn ask(&mut self, command: &str) -> Result<String> {
        self.commands.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.starts_with('-') && !line.is_empty(), "redis: {line:?}");
        if line.starts_with('$') && !line.starts_with("$-1") {
            line.clear();
            self.answers.read_line(&mut line)?;
        }
        Ok(line)
    }
}
