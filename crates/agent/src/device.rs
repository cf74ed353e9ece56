//! The device as a whole: collectors on one side, the outbox in the middle, the broker behind it.
//!
//! Promises: collecting begins at once, with or without a broker; at SIGTERM what was collected is
//! still delivered, for a few seconds; what is left is on disk.

use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use broker::{Bounds, Broker, Manner, Outbox, Sender, SpoolStanding};
use protocol::SessionId;
use runtime::logs::LogFilter;
use runtime::manager::Manager;
use runtime::settings::Mistakes;
use runtime::shutdown::{self, CancellationToken};
use runtime::telemetry::Telemetry;
use tokio::sync::mpsc;

use crate::command::{Granted, Wish, WishBox};
use crate::condition::Condition;
use crate::config::Told;
use crate::crew::Crew;
use crate::figures;
use crate::reload::{self, Requests};
use crate::renew;
use crate::settings::AgentSettings;
use crate::status_file::StatusFile;

/// Longest time from SIGTERM to exit that undelivered messages are given.
const FLUSH_WITHIN: Duration = Duration::from_secs(4);
/// Collectors that may be busy at one time: every one that there can be.
const COLLECTING_THREADS: usize = 48;
/// Commands that may wait for the disk, or look at the machine, at one time.
const COMMAND_THREADS: usize = 32;

/// Reports this device until a signal ends it. `read_again` gives the configuration as it stands.
///
/// # Errors
/// The connection cannot be had whatever is waited for, or the operating system refused something.
pub(crate) fn run(
    told: &Told,
    read_again: impl Fn() -> Result<Told, Mistakes>,
    start_telemetry: impl FnOnce() -> anyhow::Result<Telemetry>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(COLLECTING_THREADS + COMMAND_THREADS)
        .build()
        .context("starting")?;
    let ended = runtime.block_on(async {
        let telemetry = start_telemetry()?;
        let ended = report(told, &telemetry.log_filter(), &read_again).await;
        telemetry.finish().await;
        ended
    });
    // A collector that hangs in the kernel must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn report(
    told: &Told,
    filter: &LogFilter,
    read_again: &impl Fn() -> Result<Told, Mistakes>,
) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let settings = &told.agent;
    let sender =
        Sender { tenant: settings.tenant, device: settings.device, session: SessionId::start() };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), tenant = %sender.tenant, device = %sender.device,
        session = %sender.session, "starting"
    );
    let outbox = match settings.spool.clone() {
        Some(spool) => Outbox::with_spool(sender, Bounds::AGENT, spool),
        None => Outbox::new(sender, Bounds::AGENT),
    };
    let condition = Condition::new(sender, outbox.clone());
    let metrics = figures::start(settings.listen, &told.telemetry, &condition)?;
    let answering = figures::answer(settings.listen, metrics.clone(), &condition);
    let requests = Requests::listen()?;
    let (wish_box, wishes) = WishBox::new();
    let crew = Crew::start(&settings.plan, sender, &outbox, &condition, &wish_box);
    let beats = crew.beats();
    let status_file = StatusFile::at(settings.status_file.clone());
    let telling =
        status_file.keep(|| condition.report(&beats.borrow().labels), condition.link().changes());
    let (stop_commands, stop_delivery) = (CancellationToken::new(), CancellationToken::new());
    let commands = condition.commands().live(
        settings.commands.clone(),
        (sender, &outbox, &wish_box),
        &stop_commands,
    );
    let mut delivering = pin!(deliver(settings, &outbox, &condition, &stop_delivery));
    let collecting = async {
        let manager = Manager::from_environment();
        manager.tell(&format!("READY=1\nSTATUS=reports device {}", sender.device));
        let until_stop = async {
            let ended = collect_until(&stop, crew, (requests, wishes), manager, |crew| {
                reload::follow(crew, filter, told, read_again());
            });
            let ended = ended.await;
            stop_commands.cancel();
            ended
        };
        let (ended, ()) = tokio::join!(until_stop, commands);
        // Only now, so that nothing is handed over in vain.
        stop_delivery.cancel();
        ended
    };
    let (left, ended) = tokio::select! {
        left = &mut delivering => (left?, Ok(())),
        ended = collecting => (delivering.await?, ended),
        answered = answering => (outbox.figures().depth(), answered),
        // Neither ends.
        () = telling => (outbox.figures().depth(), Ok(())),
        () = condition.clock().notice_jumps() => (outbox.figures().depth(), Ok(())),
    };
    match outbox.standing() {
        _ if left == 0 => {}
        SpoolStanding::Well { .. } => tracing::info!(left, "kept on disk for the next start"),
        SpoolStanding::Off | SpoolStanding::Faulty(_) => {
            tracing::warn!(left, "stopped with messages that the broker did not take");
        }
    }
    if let Some(metrics) = metrics {
        metrics.finish().await;
    }
    tracing::info!(handed_over = outbox.figures().handed(), left, "stopped");
    ended
}

/// Collects until `stop`, and follows a changed configuration meanwhile.
async fn collect_until(
    stop: &CancellationToken,
    mut crew: Crew,
    (mut requests, mut wishes): (Requests, mpsc::Receiver<(Wish, Granted)>),
    mut manager: Manager,
    reload: impl Fn(&mut Crew),
) -> anyhow::Result<()> {
    let ended = loop {
        let wish_ends_at = crew.wish_ends_at();
        let wish_ends = async {
            match wish_ends_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => break Ok(()),
            // A device without heartbeats must not live on: whoever started it starts it again.
            error = crew.broken() => break Err(error),
            () = requests.next() => reload(&mut crew),
            Some((wish, granted)) = wishes.recv() => {
                // Whoever wished may have been ended meanwhile.
                let _ = granted.send(crew.grant(&wish));
            }
            () = wish_ends => crew.end_wish(),
            // From here, since what hangs the other tasks of this thread hangs this one too.
            () = manager.alive_when_due() => {}
        }
    };
    manager.tell("STOPPING=1");
    crew.end().await;
    ended
}

/// Delivers, and looks after the spool meanwhile; returns how many messages are left.
async fn deliver(
    settings: &AgentSettings,
    outbox: &Outbox,
    condition: &Condition,
    stop: &CancellationToken,
) -> anyhow::Result<u64> {
    let delivered = CancellationToken::new();
    let delivering = async {
        let left = connect_and_deliver(settings, outbox, condition, stop).await;
        delivered.cancel();
        left
    };
    let (left, ()) = tokio::join!(delivering, outbox.tend(&delivered));
    left
}

/// Connects, for ever if need be, and delivers; returns how many messages are left.
async fn connect_and_deliver(
    settings: &AgentSettings,
    outbox: &Outbox,
    condition: &Condition,
    stop: &CancellationToken,
) -> anyhow::Result<u64> {
    let manner = Manner::device(settings.reconnect_spread, condition.link().clone());
    let connecting = Broker::connect_in(&settings.broker, &manner);
    let Some(connected) = stop.run_until_cancelled(connecting).await else {
        return Ok(outbox.figures().depth());
    };
    let broker = connected.context("connecting to the broker")?;
    let renewing = async {
        if let Some(creds) = &settings.broker.creds {
            renew::keep(&broker, (settings.tenant, settings.device), creds).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        left = outbox.deliver(&broker, stop, FLUSH_WITHIN) => Ok(left?),
        () = condition.clock().compare(&broker) => Ok(outbox.figures().depth()),
        () = renewing => Ok(outbox.figures().depth()),
        () = condition.commands().fetch(&broker) => Ok(outbox.figures().depth()),
    }
}
