//! Builds the lanes, runs them side by side, and drains them within the grace time.

use std::time::Duration;

use broker::Broker;
use runtime::health::{self, Health};
use runtime::shutdown::CancellationToken;
use storage::{Records, Rings};
use tokio::task::JoinSet;

use crate::hold::{Origin, Source};
use crate::lanes::{Heartbeats, Lane, Metrics, Monitoring, Responses};
use crate::settings::ReceiverSettings;
use crate::{crash_poison, pipeline, presence};

/// Advisories are rare; a batch of them is small.
const ADVISORIES_BATCH_MESSAGES: usize = 16;
/// One writer keeps the points of a ring in order.
const METRICS_WORKERS: usize = 1;
/// How long the last acks may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What every lane needs.
struct Tasks {
    broker: Broker,
    health: Health,
    stop: CancellationToken,
    running: JoinSet<()>,
}

/// Runs the receiver until `stop` and the end of its work, or of its grace time.
pub(crate) async fn run(
    settings: &ReceiverSettings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let health = Health::default();
    let broker_part = health.part("broker");
    let mut running = JoinSet::new();
    if let Some(listen) = settings.listen {
        let listener = health::bind(listen).await?;
        running.spawn(health::serve(listener, health.clone(), stop.clone()));
    }
    let rings = Rings::open(&settings.redis)?;
    let records = Records::open(&settings.postgres)?;
    let connecting = Broker::connect_patiently(&settings.broker);
    let Some(broker) = stop.run_until_cancelled(connecting).await else {
        return Ok(());
    };
    let broker = broker?;
    broker_part.up();
    let mut tasks = Tasks { broker: broker.clone(), health, stop: stop.clone(), running };
    let points = ("METRICS", "rings", settings.metrics_batch_messages);
    let batch = settings.records_batch_messages;
    let workers = settings.records_workers;
    tasks.lane(points, METRICS_WORKERS, &Metrics(rings));
    let heartbeats = Heartbeats(records.clone(), settings.offline);
    tasks.lane(("HEARTBEATS", "connectivity", batch), workers, &heartbeats);
    tasks.lane(("MONITORING", "records", batch), workers, &Monitoring(records.clone()));
    tasks.lane(("RESPONSES", "records", batch), workers, &Responses(records.clone()));
    let advisories = tasks.source(("ADVISORIES", "crash-poison", ADVISORIES_BATCH_MESSAGES));
    tasks.running.spawn(crash_poison::run(broker.clone(), advisories));
    tasks.running.spawn(presence::run(broker.clone(), records, settings.offline, stop.clone()));
    tasks.wait(settings.grace).await;
    if tokio::time::timeout(FLUSH_TIMEOUT, broker.flush()).await.is_err() {
        tracing::warn!("the last acks may not have left; their messages come again");
    }
    tracing::info!("stopped");
    Ok(())
}

type Consumer = (&'static str, &'static str, usize);

impl Tasks {
    fn lane<L>(&mut self, consumer: Consumer, workers: usize, lane: &L)
    where
        L: Lane + Clone + Send + Sync + 'static,
    {
        for _ in 0..workers {
            let source = self.source(consumer);
            let worker = pipeline::run(self.broker.clone(), source, lane.clone());
            self.running.spawn(worker);
        }
    }

    fn source(&self, (stream, consumer, batch_messages): Consumer) -> Source {
        let origin = Origin { stream, consumer, batch_messages };
        Source::new(&self.broker, origin, self.health.part(stream), &self.stop)
    }

    /// Waits for the tasks. One that ends unasked ends the process: a supervisor restarts it
    /// whole, rather than leaving it half alive.
    async fn wait(mut self, grace: Duration) {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            ended = self.running.join_next() => {
                tracing::error!(panicked = ended.is_some_and(|end| end.is_err()), "a task ended unasked");
                self.stop.cancel();
            }
        }
        let drained = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(?grace, "not drained within the grace time; the rest comes again");
            self.running.shutdown().await;
        }
    }
}
