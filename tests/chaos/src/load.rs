//! The load: agents that publish through their outboxes, and remember everything they handed over.
//!
//! Promises: nothing that is handed over is forgotten here, and [`Fleet::confirmed`] ends only once
//! the broker has acknowledged all of it, or fails. What the books are compared with is this.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use broker::{Bound, Bounds, Broker, BrokerSettings, BrokerTls, HandOverError, Outbox, Sender};
use bytes::Bytes;
use identity::DeviceRole;
use protocol::{DeviceId, Kind, MetricType, SessionId, UnixMillis};
use runtime::shutdown::CancellationToken;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::world::{World, eventually_within};

/// Agents of a load, in turn in each of the two tenants; so many that no scenario's messages of one
/// device are more than a stream keeps of it.
const AGENTS: u64 = 24;
/// Rings of one device.
const METRICS: u64 = 40;
/// Of so many messages, one is a heartbeat, one a report and four are responses.
const ROUND: u64 = 20;
/// Messages of all outboxes that may wait before handing over pauses.
const WAITING_MAX: u64 = 24_000;
/// Messages between two looks at clock and outboxes.
const HANDED_AT_ONCE: u64 = 64;
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Nothing may be dropped here: each kind has more room than may wait.
const ROOM: Bound = Bound { messages: 64_000, bytes: 64 * 1024 * 1024 };
const BOUNDS: Bounds = Bounds {
    in_flight_messages: 256,
    metric_life: Duration::from_secs(3_600),
    metrics: ROOM,
    heartbeats: ROOM,
    monitoring: ROOM,
    responses: ROOM,
};

/// The agents of a load.
pub(crate) struct Fleet {
    pub(crate) agents: Vec<Agent>,
    stop: CancellationToken,
}

/// One agent, with what it handed over.
pub(crate) struct Agent {
    pub(crate) device: DeviceId,
    outbox: Outbox,
    sent: Mutex<Sent>,
    delivering: JoinHandle<()>,
}

/// Everything that one agent handed over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// Time stamps by metric.
    pub(crate) points: BTreeMap<String, Vec<i64>>,
    /// Reports, numbered from 1 in their field `n`.
    pub(crate) reports: u64,
    /// Responses, likewise.
    pub(crate) responses: u64,
    /// Heartbeats, numbered from 1 in their field `agent_version`.
    pub(crate) heartbeats: u64,
}

impl Fleet {
    /// Agents with connections and outboxes of their own, signed in as devices.
    pub(crate) async fn start(world: &World) -> Result<Self> {
        let stop = CancellationToken::new();
        let mut agents = Vec::new();
        for number in 0..AGENTS {
            let tenant = usize::try_from(number)? % world.tenants.len();
            let (device, creds) = world.device_creds(tenant, DeviceRole::Current)?;
            let broker = Broker::connect(&BrokerSettings {
                url: world.nats.url().to_owned(),
                creds: Some(creds),
                tls: BrokerTls::default(),
                name: "agent".to_owned(),
            })
            .await?;
            let sender =
                Sender { tenant: world.tenants[tenant], device, session: SessionId::start() };
            let outbox = Outbox::new(sender, BOUNDS);
            let (deliverer, stopped) = (outbox.clone(), stop.clone());
            let delivering = tokio::spawn(async move {
                // What is left shows in the outbox's figures.
                let _ = deliverer.deliver(&broker, &stopped, Duration::ZERO).await;
            });
            agents.push(Agent { device, outbox, sent: Mutex::default(), delivering });
        }
        Ok(Self { agents, stop })
    }

    /// Hands over `messages` of all kinds, as fast as `per_second` allows, or as the outboxes do.
    pub(crate) async fn send(&self, messages: u64, per_second: u64) -> Result<()> {
        let never = CancellationToken::new();
        self.hand_over(messages, per_second, &never, Agent::report).await
    }

    /// The same with points alone, as fast as the outboxes allow: streams keep more of them.
    pub(crate) async fn send_points(&self, messages: u64) -> Result<()> {
        const UNBOUND_PER_SECOND: u64 = 1_000_000;
        let never = CancellationToken::new();
        let point = |agent: &Agent, number| agent.point(number % METRICS);
        self.hand_over(messages, UNBOUND_PER_SECOND, &never, point).await
    }

    /// The same until told to stop.
    pub(crate) async fn send_until(&self, stop: &CancellationToken, per_second: u64) -> Result<()> {
        self.hand_over(u64::MAX, per_second, stop, Agent::report).await
    }

    async fn hand_over(
        &self,
        messages: u64,
        per_second: u64,
        stop: &CancellationToken,
        one: impl Fn(&Agent, u64) -> Result<()>,
    ) -> Result<()> {
        let (started, before) = (Instant::now(), self.handed());
        let mut handed = 0;
        while handed < messages && !stop.is_cancelled() {
            let due = Duration::from_secs(handed / per_second)
                + Duration::from_secs(1) / u32::try_from(per_second)?
                    * u32::try_from(handed % per_second)?;
            tokio::time::sleep_until(started + due).await;
            if self.waiting() > WAITING_MAX {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            let up_to = (handed + HANDED_AT_ONCE).min(messages);
            for number in before + handed..before + up_to {
                let agent = &self.agents[usize::try_from(number % AGENTS)?];
                one(agent, number / AGENTS)?;
            }
            handed = up_to;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// How many messages were handed over so far.
    pub(crate) fn handed(&self) -> u64 {
        self.agents.iter().map(|agent| agent.outbox.figures().handed()).sum()
    }

    /// Waits until so many were.
    pub(crate) async fn has_handed_over(&self, messages: u64) -> Result<()> {
        const WITHIN: Duration = Duration::from_secs(600);
        eventually_within(WITHIN, "so many messages handed over", async || {
            Ok((self.handed() >= messages).then_some(()))
        })
        .await
    }

    /// How many of them the broker has not acknowledged.
    pub(crate) fn waiting(&self) -> u64 {
        self.agents.iter().map(|agent| agent.outbox.figures().depth()).sum()
    }

    /// How many of one kind the broker has not acknowledged.
    pub(crate) fn waiting_of(&self, kind: &str) -> u64 {
        let depth = |agent: &Agent| {
            let figures = agent.outbox.figures();
            let kinds = figures.kinds();
            kinds
                .iter()
                .filter(|(name, _)| *name == kind)
                .map(|(_, kind)| kind.depth())
                .sum::<u64>()
        };
        self.agents.iter().map(depth).sum()
    }

    /// The newest reason for which something was not acknowledged.
    pub(crate) fn last_error(&self) -> Option<String> {
        let errors = self.agents.iter().filter_map(|agent| agent.outbox.figures().last_error);
        errors.last().map(|error| error.to_string())
    }

    /// Waits until the broker has acknowledged everything, and then one last heartbeat of each:
    /// of two in the same millisecond either may be the newest.
    pub(crate) async fn confirmed(&self) -> Result<()> {
        self.acknowledged().await?;
        for agent in &self.agents {
            agent.heartbeat()?;
        }
        self.acknowledged().await
    }

    async fn acknowledged(&self) -> Result<()> {
        const WITHIN: Duration = Duration::from_secs(120);
        let all = eventually_within(WITHIN, "everything acknowledged", async || {
            Ok((self.waiting() == 0).then_some(()))
        });
        all.await?;
        for agent in &self.agents {
            for (kind, figures) in agent.outbox.figures().kinds() {
                ensure!(
                    figures.dropped.total() == 0,
                    "an outbox dropped {} of kind {kind}: the scenario is at fault",
                    figures.dropped.total()
                );
            }
        }
        Ok(())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
        for agent in &self.agents {
            agent.delivering.abort();
        }
    }
}

impl Agent {
    /// Everything handed over so far.
    pub(crate) fn sent(&self) -> Sent {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over this agent's message of that number.
    fn report(&self, number: u64) -> Result<()> {
        match number % ROUND {
            0 => self.heartbeat(),
            1 => self.monitoring(),
            2..=5 => self.response(),
            _ => self.point(number % METRICS),
        }
    }

    fn point(&self, metric: u64) -> Result<()> {
        let metric = format!("m{metric}");
        let mut sent = self.lock();
        let ring = sent.points.entry(metric.clone()).or_default();
        let now = UnixMillis::now().get();
        // Each point of a ring has a time stamp of its own.
        let at = ring.last().map_or(now, |last| now.max(last + 1));
        let device = self.device;
        let body = format!(
            r#"{{"device_uuid":"{device}","metric_type":"{metric}","value":12.5,"timestamp_ms":{at}}}"#
        );
        let metric: MetricType = metric.parse()?;
        self.outbox.hand_over(Kind::Metric(metric), UnixMillis::new(at), body.into())?;
        ring.push(at);
        Ok(())
    }

    fn heartbeat(&self) -> Result<()> {
        let mut sent = self.lock();
        let (n, now) = (sent.heartbeats + 1, UnixMillis::now());
        let body = format!(r#"{{"agent_version":"{n}","timestamp_ms":{}}}"#, now.get());
        self.outbox.hand_over(Kind::Heartbeat, now, body.into())?;
        sent.heartbeats = n;
        Ok(())
    }

    fn monitoring(&self) -> Result<()> {
        let mut sent = self.lock();
        let n = sent.reports + 1;
        let body = Bytes::from(format!(r#"{{"n":{n},"disks":[{{"mount":"/","used":48.1}}]}}"#));
        self.outbox.hand_over(Kind::Monitoring, UnixMillis::now(), body)?;
        sent.reports = n;
        Ok(())
    }

    fn response(&self) -> Result<()> {
        let mut sent = self.lock();
        let n = sent.responses + 1;
        let body = Bytes::from(format!(r#"{{"n":{n},"command_id":"c-{n}","status":"success"}}"#));
        let handed: Result<u64, HandOverError> =
            self.outbox.hand_over(Kind::Response, UnixMillis::now(), body);
        handed?;
        sent.responses = n;
        Ok(())
    }
}
