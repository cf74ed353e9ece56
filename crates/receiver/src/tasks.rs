//! Builds the lanes, runs them side by side, and drains them within the grace time.

use std::convert::Infallible;
use std::time::Duration;

use broker::{Broker, BrokerSettings};
use opentelemetry::metrics::Meter;
use runtime::health::{self, Health, Part};
use runtime::manager;
use runtime::shutdown::CancellationToken;
use storage::{Records, Rings};
use tokio::task::JoinSet;

use crate::crash_poison::LastTrial;
use crate::doubt::Doubt;
use crate::fair::{Backlog, FairShare};
use crate::hold::{Origin, Source};
use crate::lanes::{DeferredMetrics, Heartbeats, Lane, Metrics, Monitoring, Responses};
use crate::metrics::Figures;
use crate::refusals::Refusals;
use crate::settings::ReceiverSettings;
use crate::{crash_poison, ledger, pipeline, presence, samples};

/// An advisory's second delivery says that its message was not survived when tried alone, so none
/// may lose a delivery by what another is about.
const ADVISORIES_BATCH_MESSAGES: usize = 1;
/// Parcels that are written at one time: points of one ring in several are one write.
const DEFERRED_BATCH_PARCELS: usize = 4;
/// How long the last acks may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the connection is looked at; the client tells of a new one, but not of a lost one.
const CONNECTION_LOOK_EVERY: Duration = Duration::from_secs(1);

/// What every lane needs.
struct Tasks {
    broker: Broker,
    health: Health,
    meter: Meter,
    stop: CancellationToken,
    running: JoinSet<()>,
    /// Stream and durable consumer of each lane.
    consumers: Vec<(&'static str, &'static str)>,
    doubt: Doubt,
}

/// Runs the receiver until it is `asked_to_stop` and its work, or its grace time, is over.
pub(crate) async fn run(
    settings: &ReceiverSettings,
    metrics: runtime::metrics::Metrics,
    asked_to_stop: CancellationToken,
) -> anyhow::Result<()> {
    let (health, meter) = (Health::default(), metrics.meter());
    let drained = CancellationToken::new();
    // Answers until everything else has ended: while it drains, /readyz says so.
    let answering = match settings.listen {
        Some(listen) => {
            let listener = health::bind(listen).await?;
            let serving = health::serve(listener, health.clone(), metrics, drained.clone());
            Some(tokio::spawn(serving))
        }
        None => None,
    };
    let stop = CancellationToken::new();
    let ended = tokio::select! {
        ended = work(settings, health.clone(), meter, stop.clone()) => ended,
        never = stop_once_told(&asked_to_stop, &health, &stop) => match never {},
    };
    drained.cancel();
    if let Some(answering) = answering
        && tokio::time::timeout(FLUSH_TIMEOUT, answering).await.is_err()
    {
        tracing::warn!("somebody still asked for /metrics");
    }
    ended
}

/// Nothing stops before `/readyz` says that it will.
async fn stop_once_told(
    asked_to_stop: &CancellationToken,
    health: &Health,
    stop: &CancellationToken,
) -> Infallible {
    asked_to_stop.cancelled().await;
    health.drain();
    stop.cancel();
    std::future::pending().await
}

async fn work(
    settings: &ReceiverSettings,
    health: Health,
    meter: Meter,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let broker_part = health.part("broker");
    let mut running = JoinSet::new();
    running.spawn(manager::keep_told(health.clone(), stop.clone()));
    let rings = Rings::open(&settings.redis)?;
    let records = Records::open(&settings.postgres)?;
    let records = records.keeping_answers(settings.command_answers_max_bytes);
    let connecting = Broker::connect_patiently(&settings.broker);
    let Some(broker) = stop.run_until_cancelled(connecting).await else {
        return Ok(());
    };
    let broker = broker?;
    let (consumers, stopped, doubt) = (Vec::new(), stop.clone(), Doubt::default());
    let mut tasks =
        Tasks { broker: broker.clone(), health, meter, stop: stopped, running, consumers, doubt };
    tasks.points(rings.clone(), settings)?;
    let refusals = Refusals::new(&tasks.meter);
    let trial = LastTrial {
        metrics: Metrics(rings.clone()),
        heartbeats: Heartbeats(records.clone(), settings.offline),
        monitoring: Monitoring(records.clone()),
        responses: Responses(records.clone(), refusals),
    };
    let batch = settings.records_batch_messages;
    let workers = settings.records_workers;
    tasks.lane(("HEARTBEATS", "connectivity", batch), workers, &trial.heartbeats);
    tasks.lane(("MONITORING", "records", batch), workers, &trial.monitoring);
    tasks.lane(("RESPONSES", "records", batch), workers, &trial.responses);
    let advisories = tasks.source(("ADVISORIES", "crash-poison", ADVISORIES_BATCH_MESSAGES), 1);
    tasks.running.spawn(crash_poison::run(broker.clone(), advisories, trial));
    tasks.running.spawn(ledger::run(rings, records.clone(), stop.clone()));
    tasks.running.spawn(presence::run(broker.clone(), records.clone(), stop.clone()));
    tasks.sample(settings.broker.clone(), records);
    tasks.running.spawn(watch_connection(broker.clone(), broker_part, stop));
    let ended_unasked = tasks.wait(settings.grace).await;
    if !matches!(tokio::time::timeout(FLUSH_TIMEOUT, broker.flush_acks()).await, Ok(Ok(()))) {
        tracing::warn!("the last acks may not have left; their messages come again");
    }
    // A supervisor restarts the process whole, rather than leaving it half alive.
    anyhow::ensure!(!ended_unasked, "a task ended unasked; its reason is in the log");
    tracing::info!("stopped");
    Ok(())
}

/// Keeps `/readyz` true about the connection.
async fn watch_connection(broker: Broker, part: Part, stop: CancellationToken) {
    let mut connections = broker.connections();
    while !stop.is_cancelled() {
        if broker.is_connected() {
            part.up();
        } else {
            part.down("no connection to the broker");
        }
        let news = tokio::time::timeout(CONNECTION_LOOK_EVERY, connections.changed());
        let _ = stop.run_until_cancelled(news).await;
    }
}

type Consumer = (&'static str, &'static str, usize);

impl Tasks {
    fn lane<L>(&mut self, consumer: Consumer, workers: usize, lane: &L)
    where
        L: Lane + Clone + Send + Sync + 'static,
    {
        for worker in 1..=workers {
            let source = self.source(consumer, worker);
            self.spawn(source, FairShare::none(), lane.clone());
        }
    }

    /// The lane of points, which tenants share, and the lane of what is put off in it. One writer
    /// keeps the points of a ring in order.
    fn points(&mut self, rings: Rings, settings: &ReceiverSettings) -> anyhow::Result<()> {
        let backlog = Backlog::default();
        let points = self.source(("METRICS", "rings", settings.metrics_batch_messages), 1);
        let fair = FairShare::new(settings.tenant_share_times, backlog.clone());
        self.spawn(points, fair, Metrics(rings));
        let deferred = self.source(("METRICS_DEFERRED", "rings", DEFERRED_BATCH_PARCELS), 1);
        // On a connection of its own, so that nobody's points wait for the answer to a parcel.
        let rings = Rings::open(&settings.redis)?;
        self.spawn(deferred.giving_way_to(&backlog), FairShare::none(), DeferredMetrics(rings));
        Ok(())
    }

    fn spawn<L>(&mut self, source: Source, fair: FairShare, lane: L)
    where
        L: Lane + Send + Sync + 'static,
    {
        self.running.spawn(pipeline::run(self.broker.clone(), source, fair, lane));
    }

    fn source(&mut self, (stream, consumer, batch_messages): Consumer, worker: usize) -> Source {
        if worker == 1 {
            self.consumers.push((stream, consumer));
        }
        let origin = Origin { stream, consumer, batch_messages };
        let part = self.health.part(&format!("{stream} {worker}"));
        let figures = Figures::new(&self.meter, stream);
        Source::new(&self.broker, origin, part, &self.stop, figures, &self.doubt)
    }

    /// Looks up what no lane counts, for every consumer made so far.
    fn sample(&mut self, reached: BrokerSettings, records: Records) {
        let (broker, consumers) = (self.broker.clone(), self.consumers.clone());
        let at = samples::Looked { broker, reached, records, consumers };
        self.running.spawn(samples::run(at, self.meter.clone(), self.stop.clone()));
    }

    /// Waits for the tasks; one that ends unasked stops the rest. `true`: one did.
    async fn wait(mut self, grace: Duration) -> bool {
        let mut ended_unasked = false;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            ended = self.running.join_next() => {
                tracing::error!(panicked = ended.is_some_and(|end| end.is_err()), "a task ended unasked");
                ended_unasked = true;
                self.stop.cancel();
            }
        }
        self.health.drain();
        let drained = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(?grace, "not drained within the grace time; the rest comes again");
            self.running.shutdown().await;
        }
        ended_unasked
    }
}
