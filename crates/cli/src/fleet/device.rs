//! The life of one simulated device: connect, report at its rhythm, flush, end.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use broker::{Bound, Bounds, Broker, BrokerSettings, DeviceCommands, Manner, Outbox, Sender};
use bytes::Bytes;
use identity::{DeviceRole, KeyDir, issue_device};
use protocol::{
    AGENT_METRICS, HeartbeatBody, HeartbeatStatus, Kind, Labels, MetricBody, MetricType, SessionId,
    UnixMillis,
};
use runtime::shutdown::CancellationToken;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::chaos::{Chaos, Knobs};
use super::commands::{CommandPlace, Simulated};
use super::curves::Machine;
use super::members::Member;

/// How long undelivered messages are given at the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);
/// Devices that may be at their first connection at one time, so that the first are done soon.
const CONNECTING_AT_ONCE: usize = 32;
/// Memory that needs no disk behind it, where there is any.
const MEMORY_DIRECTORY: &str = "/dev/shm";
/// Longest wait for a device's first monitoring report.
const FIRST_REPORT_WITHIN: Duration = Duration::from_secs(30);

/// As an agent's, but small enough for ten thousand: three minutes of metrics.
const BOUNDS: Bounds = Bounds {
    in_flight_messages: 32,
    metric_life: Bounds::AGENT.metric_life,
    metrics: Bound { messages: 540, bytes: 192 * 1024 },
    heartbeats: Bound { messages: 4, bytes: 16 * 1024 },
    monitoring: Bound { messages: 2, bytes: 32 * 1024 },
    responses: Bound { messages: 8, bytes: 32 * 1024 },
};

/// How often a device reports what, and what goes wrong with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    pub(super) knobs: Knobs,
    pub(super) metrics: Duration,
    pub(super) heartbeat: Duration,
    pub(super) monitoring: Duration,
}

/// Where the credentials are, and how their devices come back.
#[derive(Debug)]
pub(super) struct CredsPlace {
    broker: BrokerSettings,
    keys: Arc<KeyDir>,
    directory: tempfile::TempDir,
    connecting: Semaphore,
    reconnect_spread: Duration,
}

impl CredsPlace {
    /// # Errors
    /// No private directory can be made.
    pub(super) fn make(
        broker: &BrokerSettings,
        keys: Arc<KeyDir>,
        reconnect_spread: Duration,
    ) -> anyhow::Result<Self> {
        let memory = Path::new(MEMORY_DIRECTORY);
        let temporary = std::env::temp_dir();
        let base = if memory.is_dir() { memory } else { &temporary };
        let directory = tempfile::Builder::new().prefix("wegweiser-fleet-").tempdir_in(base);
        let directory =
            directory.with_context(|| format!("making a directory in {}", base.display()))?;
        let connecting = Semaphore::new(CONNECTING_AT_ONCE);
        Ok(Self { broker: broker.clone(), keys, directory, connecting, reconnect_spread })
    }

    /// Connects as `member`, for ever if need be. Its credentials stay in the directory, which is
    /// read at every reconnection.
    async fn connect(&self, member: &Member) -> anyhow::Result<Broker> {
        let _permit = self.connecting.acquire().await?;
        let path = self.directory.path().join(member.device.to_string());
        let (keys, member, kept) = (Arc::clone(&self.keys), *member, path.clone());
        tokio::task::spawn_blocking(move || issue(&keys, &member, &kept)).await??;
        let settings = BrokerSettings {
            creds: Some(path.clone()),
            name: format!("simulated {}", member.device),
            ..self.broker.clone()
        };
        let connected =
            Broker::connect_in(&settings, &Manner::sparing(self.reconnect_spread)).await;
        connected.context("connecting a simulated device")
    }
}

fn issue(keys: &KeyDir, member: &Member, path: &Path) -> anyhow::Result<()> {
    let Member { tenant, device, .. } = *member;
    let issued = issue_device(keys, tenant, device, DeviceRole::Current, None)
        .with_context(|| format!("issuing credentials for a device of tenant {tenant}"))?;
    issued.save(path).context("keeping credentials until they are read")
}

/// One simulated device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) member: Member,
    pub(super) session: SessionId,
    pub(super) outbox: Outbox,
    pub(super) chaos: Chaos,
    machine: Machine,
    rhythm: Rhythm,
    metrics: Vec<MetricType>,
    labels: Labels,
    commands: Option<DeviceCommands<Simulated>>,
    broker: OnceLock<Broker>,
}

impl Device {
    pub(super) fn new(
        member: Member,
        rhythm: Rhythm,
        place: Option<&Arc<CommandPlace>>,
    ) -> anyhow::Result<Self> {
        let machine = Machine::new(member.seed);
        let mut labels = Labels::default();
        labels.set("fleet", "simulated")?;
        labels.set("site", machine.site())?;
        let session = SessionId::start();
        let sender = Sender { tenant: member.tenant, device: member.device, session };
        let metrics: Result<_, _> = AGENT_METRICS.iter().map(|name| name.parse()).collect();
        let outbox = Outbox::new(sender, BOUNDS);
        let opened = place.map(|place| place.open(sender, outbox.clone(), machine));
        Ok(Self {
            member,
            session,
            outbox,
            chaos: Chaos::new(rhythm.knobs, sender, machine),
            machine,
            rhythm,
            metrics: metrics?,
            labels,
            commands: opened.transpose()?,
            broker: OnceLock::new(),
        })
    }

    /// Whether it ever had a connection.
    pub(super) fn was_connected(&self) -> bool {
        self.broker.get().is_some()
    }

    /// Connections that it lost and made again.
    pub(super) fn reconnections(&self) -> u64 {
        let made = self.broker.get().map_or(0, |broker| *broker.connections().borrow());
        made.saturating_sub(1)
    }

    /// Whether its connection stands.
    pub(super) fn is_connected(&self) -> bool {
        self.broker.get().is_some_and(Broker::is_connected)
    }

    /// Reports from `after` on until `stop`; returns how many messages were not confirmed.
    ///
    /// # Errors
    /// The connection cannot be had, whatever is waited for.
    pub(super) async fn live(
        self: Arc<Self>,
        after: Duration,
        place: Arc<CredsPlace>,
        stop: CancellationToken,
    ) -> anyhow::Result<u64> {
        let connecting = async {
            tokio::time::sleep(after).await;
            place.connect(&self.member).await
        };
        let Some(connected) = stop.run_until_cancelled(connecting).await else { return Ok(0) };
        let connected = connected?;
        let broker = self.broker.get_or_init(|| connected);
        let delivering = self.outbox.deliver(broker, &stop, FLUSH_WITHIN);
        tokio::pin!(delivering);
        tokio::select! {
            left = &mut delivering => Ok(left?),
            () = until_never(self.chaos.reign(broker)) => Ok(0),
            () = self.fetch_commands(broker) => Ok(0),
            reported = async { tokio::join!(self.report(&stop), self.carry_out(&stop)).0 } => {
                reported?;
                Ok(delivering.await?)
            }
        }
    }

    /// For ever.
    async fn fetch_commands(&self, broker: &Broker) {
        match &self.commands {
            Some(commands) => commands.fetch(broker).await,
            None => std::future::pending().await,
        }
    }

    /// Until `stop`.
    async fn carry_out(&self, stop: &CancellationToken) {
        if let Some(commands) = &self.commands {
            commands.work(stop).await;
        }
    }

    async fn report(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut metrics = self.ticks(self.rhythm.metrics, self.rhythm.metrics, 40);
        let mut heartbeats = self.ticks(self.rhythm.heartbeat, self.rhythm.heartbeat, 41);
        let first_report = self.rhythm.monitoring.min(FIRST_REPORT_WITHIN);
        let mut reports = self.ticks(self.rhythm.monitoring, first_report, 42);
        self.heartbeat(started)?;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = metrics.tick() => self.points()?,
                _ = heartbeats.tick() => self.heartbeat(started)?,
                _ = reports.tick() => self.monitoring()?,
            }
        }
    }

    /// Ticks that begin at this device's own moment within `first_within`.
    fn ticks(&self, interval: Duration, first_within: Duration, salt: u64) -> Interval {
        let first = Instant::now() + first_within.mul_f64(self.machine.share(salt));
        let mut ticks = tokio::time::interval_at(first, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks
    }

    fn points(&self) -> anyhow::Result<()> {
        let at = self.chaos.now();
        for (metric, value) in self.metrics.iter().zip(self.machine.values(seconds(at))) {
            let body = MetricBody {
                device_uuid: self.member.device,
                tenant_uuid: self.member.tenant,
                metric_type: metric,
                value,
                timestamp_ms: at,
            };
            let kind = Kind::Metric(metric.clone());
            self.chaos.mangle(&kind);
            self.hand_over(kind, at, &body)?;
        }
        Ok(())
    }

    fn heartbeat(&self, started: Instant) -> anyhow::Result<()> {
        let at = self.chaos.now();
        let mut status = HeartbeatStatus {
            uptime: started.elapsed().as_secs(),
            reconnects: self.reconnections(),
            ..HeartbeatStatus::default()
        };
        self.outbox.tell(&mut status);
        let body = HeartbeatBody {
            device_uuid: self.member.device,
            tenant_uuid: self.member.tenant,
            timestamp_ms: at,
            session_id: self.session,
            agent_version: concat!(env!("CARGO_PKG_VERSION"), "-simulated"),
            heartbeat_interval_ms: u32::try_from(self.rhythm.heartbeat.as_millis())?,
            status,
            system_info: &self.system_info(at),
            labels: &self.labels,
        };
        self.hand_over(Kind::Heartbeat, at, &body)
    }

    fn monitoring(&self) -> anyhow::Result<()> {
        let at = self.chaos.now();
        let [_, _, disk, received, sent, _] = self.machine.values(seconds(at));
        let mut report = self.system_info(at);
        for (field, value) in [
            ("device_uuid", json!(self.member.device)),
            ("tenant_uuid", json!(self.member.tenant)),
            ("timestamp_ms", json!(at)),
            ("monitoring_type", json!("monitoring")),
            ("simulated", json!(true)),
            ("disks", json!([{ "mount_point": "/", "file_system": "ext4", "percent": disk }])),
            (
                "network_interfaces",
                json!([{ "name": "eth0", "bytes_in": received, "bytes_out": sent }]),
            ),
        ] {
            report.insert(field.to_owned(), value);
        }
        self.hand_over(Kind::Monitoring, at, &report)
    }

    fn system_info(&self, at: UnixMillis) -> Map<String, Value> {
        let [cpu, memory, _, _, _, uptime] = self.machine.values(seconds(at));
        let name = self.member.device.to_string();
        let pairs = [
            ("platform", json!("Linux")),
            ("hostname", json!(format!("sim-{}", name.split('-').next().unwrap_or_default()))),
            ("os_version", json!("simulated")),
            ("kernel", json!("simulated")),
            ("uptime", json!(uptime)),
            ("cpu_percent", json!(cpu)),
            ("memory_percent", json!(memory)),
        ];
        pairs.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
    }

    fn hand_over(&self, kind: Kind, at: UnixMillis, body: &impl Serialize) -> anyhow::Result<()> {
        let body = Bytes::from(serde_json::to_vec(body)?);
        // No room for a report while the broker is away: the outbox's figures tell.
        if let Ok(number) = self.outbox.hand_over(kind.clone(), at, body.clone()) {
            self.chaos.repeat(&kind, number, &body);
        }
        Ok(())
    }
}

/// What goes wrong ends with the device and not before.
async fn until_never(reigning: impl Future<Output = ()>) {
    reigning.await;
    std::future::pending::<()>().await;
}

/// A time for the curves; milliseconds do not matter to them.
#[expect(clippy::cast_precision_loss, reason = "a time in milliseconds is below 2^53")]
fn seconds(at: UnixMillis) -> f64 {
    at.get() as f64 / 1_000.0
}
