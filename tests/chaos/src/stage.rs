//! The stage of one scenario: servers of its own that may be broken, and replicas of the receiver.
//!
//! Promises: nothing is shared with another scenario, and all of it ends with the stage.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use devstack::{Postgres, Redis};
use tokio::time::Instant;

use crate::findings::Findings;
use crate::world::{Process, World, eventually_within, scrape};

/// Streams whose messages end in Redis, with their consumers.
pub(crate) const REDIS_LANES: &[(&str, &str)] =
    &[("METRICS", "rings"), ("METRICS_DEFERRED", "rings")];
/// Streams whose messages end in Postgres, with their consumers.
pub(crate) const POSTGRES_LANES: &[(&str, &str)] =
    &[("HEARTBEATS", "connectivity"), ("MONITORING", "records"), ("RESPONSES", "records")];

/// Room for every point of a scenario, so that each can be looked for.
const RING_POINTS: &str = "20000";
const RING_LIFE_SECONDS: &str = "7200";
/// Few enough to be used up.
pub(crate) const MAX_CONNECTIONS: u32 = 40;
/// Longest wait for replicas to have caught up.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(240);

/// Servers, and replicas on them.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    pub(crate) replicas: Vec<Process>,
    /// Killed or stopped; kept for what they logged.
    ended: Vec<Process>,
    jetstream: jetstream::Context,
    /// What replicas are told beside where the servers are.
    settings: Vec<(String, String)>,
}

/// How far the consumers of some lanes are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Messages settled so far.
    pub(crate) settled: u64,
    /// Messages not settled.
    pub(crate) lag: u64,
    /// Deliveries beyond the first of each message.
    pub(crate) redelivered: u64,
}

impl Stage {
    /// `ack_wait`: in place of the declared one.
    pub(crate) async fn start(ack_wait: Option<Duration>) -> Result<Self> {
        // A kill may cost Redis nothing here, or what it lost would look like ours.
        let redis = Redis::builder().persist(true).start()?;
        let postgres = Postgres::builder()
            .max_connections(MAX_CONNECTIONS)
            // A backend whose client was killed ends at once, rather than at its next answer.
            .setting("client_connection_check_interval=200ms")
            .start()?;
        let world = World::start_on(redis.port(), &postgres.address()).await?;
        let jetstream = jetstream::new(world.operator().await?);
        let mut settings = Vec::new();
        for (name, value) in
            [("METRICS_MAX_POINTS", RING_POINTS), ("METRICS_TTL_SECONDS", RING_LIFE_SECONDS)]
        {
            settings.push((name.to_owned(), value.to_owned()));
        }
        let (replicas, ended) = (Vec::new(), Vec::new());
        let stage = Self { world, redis, postgres, replicas, ended, jetstream, settings };
        if let Some(ack_wait) = ack_wait {
            stage.shorten(ack_wait).await?;
        }
        Ok(stage)
    }

    /// Tells the replicas to come one more thing.
    pub(crate) fn tell_replicas(&mut self, name: &str, value: String) {
        self.settings.push((name.to_owned(), value));
    }

    /// So many more replicas, ready for work.
    pub(crate) async fn add_replicas(&mut self, count: usize) -> Result<()> {
        let first = self.replicas.len();
        for _ in 0..count {
            self.begin_replica()?;
        }
        for replica in &self.replicas[first..] {
            replica.logs("connected to the broker").await?;
        }
        Ok(())
    }

    /// One more, not yet ready for work; the last of them.
    pub(crate) fn begin_replica(&mut self) -> Result<()> {
        let replica = self.replica()?;
        self.replicas.push(replica);
        Ok(())
    }

    fn replica(&self) -> Result<Process> {
        let settings: Vec<(&str, &str)> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.world.receiver(&settings)
    }

    /// `kill -9`, without a successor.
    pub(crate) fn kill(&mut self, index: usize) -> Result<()> {
        let mut replica = self.replicas.swap_remove(index);
        replica.kill()?;
        self.ended.push(replica);
        Ok(())
    }

    /// `kill -9`, and another one as its supervisor would start it.
    pub(crate) fn kill_and_replace(&mut self, index: usize) -> Result<()> {
        self.kill(index)?;
        self.begin_replica()
    }

    /// SIGTERM, and another one once it has ended. Whether it ended well.
    pub(crate) async fn restart(&mut self, index: usize) -> Result<bool> {
        let mut replica = self.replicas.remove(index);
        let status = replica.stop().await?;
        self.ended.push(replica);
        let successor = self.replica()?;
        successor.logs("connected to the broker").await?;
        self.replicas.insert(index, successor);
        Ok(status.success())
    }

    /// Where the consumers of these lanes are.
    pub(crate) async fn progress(&self, lanes: &[(&str, &str)]) -> Result<Progress> {
        let mut progress = Progress::default();
        for (stream, consumer) in lanes {
            let stream = self.jetstream.get_stream(*stream).await?;
            let last = stream.cached_info().state.last_sequence;
            let info: PullConsumer =
                stream.get_consumer(consumer).await.map_err(|error| anyhow::anyhow!(error))?;
            let info = info.cached_info();
            let held = u64::try_from(info.num_ack_pending)?;
            let lag = info.num_pending + held;
            progress.lag += lag;
            progress.settled += last.saturating_sub(lag);
            let delivered = &info.delivered;
            progress.redelivered +=
                delivered.consumer_sequence.saturating_sub(delivered.stream_sequence);
        }
        Ok(progress)
    }

    /// All lanes together.
    pub(crate) async fn all_progress(&self) -> Result<Progress> {
        self.progress(&[REDIS_LANES, POSTGRES_LANES].concat()).await
    }

    /// Waits until no more than `lag` messages of these lanes are not settled; how long it took.
    pub(crate) async fn caught_up(&self, lanes: &[(&str, &str)], lag: u64) -> Result<Duration> {
        let started = Instant::now();
        let last = eventually_within(CAUGHT_UP_WITHIN, "replicas caught up", async || {
            Ok((self.progress(lanes).await?.lag <= lag).then_some(()))
        })
        .await;
        last.with_context(|| format!("the newest replica says:\n{}", self.newest_words()))?;
        Ok(started.elapsed())
    }

    /// Waits until every message of every lane is settled, and every word of the broker about one
    /// that nobody settled; how long it took.
    pub(crate) async fn drained(&self) -> Result<Duration> {
        let advisories = &[("ADVISORIES", "crash-poison")];
        self.caught_up(&[REDIS_LANES, POSTGRES_LANES, advisories].concat(), 0).await
    }

    /// Messages a second that these lanes settle, measured for so long.
    pub(crate) async fn rate(&self, lanes: &[(&str, &str)], measured: Duration) -> Result<f64> {
        let (started, before) = (Instant::now(), self.progress(lanes).await?.settled);
        tokio::time::sleep(measured).await;
        let settled = self.progress(lanes).await?.settled.saturating_sub(before);
        Ok(as_float(settled) / started.elapsed().as_secs_f64())
    }

    /// Messages that a stream keeps.
    pub(crate) async fn stored(&self, stream: &str) -> Result<u64> {
        Ok(self.jetstream.get_stream(stream).await?.cached_info().state.messages)
    }

    /// The consumers' owner.
    pub(crate) const fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// A figure of every living replica; without labels, the sum over them.
    pub(crate) async fn scrape(&self, figure: &str) -> Result<Vec<f64>> {
        let mut sums = Vec::new();
        for replica in &self.replicas {
            let page = scrape(replica, "health listening").await?;
            let is_it = |name: &str| name.split('{').next() == Some(figure) || name == figure;
            sums.push(
                page.values.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| value).sum(),
            );
        }
        Ok(sums)
    }

    /// Demands that the operator was told: a figure that is above 0, and a line in a log.
    pub(crate) async fn told(
        &self,
        findings: &mut Findings,
        figure: &str,
        line: &str,
    ) -> Result<()> {
        let above_zero = self.scrape(figure).await?.iter().any(|value| *value > 0.0);
        findings.must(format!("metric {figure} shows it"), above_zero);
        findings.must(format!("log {line:?} tells it"), self.logged(line) > 0);
        Ok(())
    }

    /// How many lines of all replicas' logs contain `text`.
    pub(crate) fn logged(&self, text: &str) -> usize {
        let replicas = self.replicas.iter().chain(&self.ended);
        replicas
            .map(|replica| replica.log().lines().filter(|line| line.contains(text)).count())
            .sum()
    }

    fn newest_words(&self) -> String {
        const LINES: usize = 20;
        let log = self.replicas.last().map(Process::log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// A cut of the suite cannot wait for the declared time.
    async fn shorten(&self, ack_wait: Duration) -> Result<()> {
        for (stream, consumer) in [REDIS_LANES, POSTGRES_LANES].concat() {
            let stream = self.jetstream.get_stream(stream).await?;
            let consumer: PullConsumer =
                stream.get_consumer(consumer).await.map_err(|error| anyhow::anyhow!(error))?;
            let mut config = consumer.cached_info().config.clone();
            config.ack_wait = ack_wait;
            let config =
                <jetstream::consumer::pull::Config as jetstream::consumer::FromConsumer>::try_from_consumer_config(config)
                    .map_err(|error| anyhow::anyhow!(error))?;
            stream.update_consumer(config).await?;
        }
        Ok(())
    }
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) const fn as_float(count: u64) -> f64 {
    count as f64
}
