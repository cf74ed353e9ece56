//! The device as a whole: collectors on one side, the outbox in the middle, the broker behind it.
//!
//! Promises: collecting begins at once, with or without a broker; at SIGTERM what was collected is
//! still delivered, for a few seconds.

use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use broker::{Bounds, Broker, Outbox, Sender};
use protocol::SessionId;
use runtime::shutdown::{self, CancellationToken};
use runtime::telemetry::Telemetry;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::collect::{self, Patient};
use crate::heartbeat::Heartbeats;
use crate::monitoring::Reports;
use crate::points::Points;
use crate::settings::AgentSettings;

/// Longest time from SIGTERM to exit that undelivered messages are given.
const FLUSH_WITHIN: Duration = Duration::from_secs(4);
/// Collectors that may be busy at one time; there are fewer.
const COLLECTING_THREADS: usize = 16;

/// Reports this device until a signal ends it.
///
/// # Errors
/// The connection cannot be had whatever is waited for, or the operating system refused something.
pub(crate) fn run(
    settings: &AgentSettings,
    start_telemetry: impl FnOnce() -> anyhow::Result<Telemetry>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(COLLECTING_THREADS)
        .build()
        .context("starting")?;
    let ended = runtime.block_on(async {
        let _telemetry = start_telemetry()?;
        report(settings).await
    });
    // A collector that hangs in the kernel must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn report(settings: &AgentSettings) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let sender =
        Sender { tenant: settings.tenant, device: settings.device, session: SessionId::start() };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), tenant = %sender.tenant, device = %sender.device,
        session = %sender.session, "starting"
    );
    let outbox = Outbox::new(sender, Bounds::AGENT);
    let (connections, connections_seen) = watch::channel(0);
    let collecting = start_collecting(settings, sender, &outbox, &connections_seen);
    let stop_delivery = CancellationToken::new();
    let mut delivering = pin!(deliver(settings, &outbox, &connections, &stop_delivery));
    let (left, ended) = tokio::select! {
        left = &mut delivering => (left?, Ok(())),
        ended = collect_until(&stop, collecting, &stop_delivery) => (delivering.await?, ended),
    };
    if left > 0 {
        tracing::warn!(left, "stopped with messages that the broker did not take");
    }
    tracing::info!(handed_over = outbox.figures().handed(), left, "stopped");
    ended
}

/// Ends collecting at `stop`, and only then delivery, so that nothing is handed over in vain.
async fn collect_until(
    stop: &CancellationToken,
    mut collecting: JoinSet<()>,
    stop_delivery: &CancellationToken,
) -> anyhow::Result<()> {
    let broken = tokio::select! {
        () = stop.cancelled() => None,
        // A device without heartbeats must not live on: whoever started it starts it again.
        ended = collecting.join_next() => ended,
    };
    collecting.shutdown().await;
    stop_delivery.cancel();
    match broken {
        Some(Err(error)) => Err(error).context("a collector's task broke down"),
        Some(Ok(())) | None => Ok(()),
    }
}

/// One task a collector; none ends by itself.
fn start_collecting(
    settings: &AgentSettings,
    sender: Sender,
    outbox: &Outbox,
    connections: &watch::Receiver<u64>,
) -> JoinSet<()> {
    let mut collecting = JoinSet::new();
    for collector in collect::live() {
        let points = Points { collector: Patient::new(collector), sender, outbox: outbox.clone() };
        collecting.spawn(points.report(settings.metrics_interval));
    }
    let heartbeats = Heartbeats::new(sender, outbox.clone(), connections.clone());
    collecting.spawn(heartbeats.report(settings.heartbeat_interval));
    let reports = Reports::new(sender, outbox.clone());
    collecting.spawn(reports.report(settings.monitoring_interval));
    collecting
}

/// Connects, for ever if need be, and delivers; returns how many messages are left.
async fn deliver(
    settings: &AgentSettings,
    outbox: &Outbox,
    connections: &watch::Sender<u64>,
    stop: &CancellationToken,
) -> anyhow::Result<u64> {
    let connecting = Broker::connect_patiently(&settings.broker);
    let Some(connected) = stop.run_until_cancelled(connecting).await else {
        return Ok(outbox.figures().depth());
    };
    let broker = connected.context("connecting to the broker")?;
    let mut made = broker.connections();
    let watching = async {
        while made.changed().await.is_ok() {
            connections.send_replace(*made.borrow_and_update());
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        left = outbox.deliver(&broker, stop, FLUSH_WITHIN) => Ok(left?),
        () = watching => Ok(outbox.figures().depth()),
    }
}
