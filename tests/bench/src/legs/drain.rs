//! Legs (c), (e) and (i): a program drains a backlog, as in operation, and is watched from outside.
//!
//! The clock runs from the first delivery, so that starting up does not count, to the last ack.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use broker::ConsumerState;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::Instant;

use super::Backlog;
use crate::cost;
use crate::measure::{Leg, Sample, Watch};
use crate::world::World;

/// How often to look at the consumer: rare enough to cost nothing, often enough to be exact.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A drain that takes longer has stalled.
const DRAIN_WITHIN: Duration = Duration::from_secs(600);
/// How long a program may take from SIGTERM to its end.
const STOP_WITHIN: Duration = Duration::from_secs(15);

pub(crate) async fn measure(
    world: &World,
    backlog: Backlog,
    leg: Leg,
    run: usize,
) -> Result<Sample> {
    let mut program = world.receiver()?;
    let measured = watch(world, backlog, leg, run, &program).await;
    stop(&mut program).await?;
    measured.with_context(|| {
        let log = std::fs::read_to_string(world.receiver_log()).unwrap_or_default();
        format!("draining {}; the program says:\n{log}", backlog.stream)
    })
}

async fn watch(
    world: &World,
    backlog: Backlog,
    leg: Leg,
    run: usize,
    program: &Child,
) -> Result<Sample> {
    let pid = program.id().context("the program has ended")?;
    let meter = world.meter.with("receiver", pid);
    let full = backlog.messages as u64;
    let waiting = until(world, backlog, |state| state.num_pending < full).await?;
    let watch = Watch::start(&meter)?;
    settled(world, backlog).await?;
    let already = full - waiting.num_pending - waiting.num_ack_pending;
    let messages = backlog.messages - usize::try_from(already)?;
    let mut sample = watch.stop(leg, run, messages)?;
    sample.cost.peak_rss_bytes = Some(cost::peak_rss_bytes(pid)?);
    let parked = world.operator.stream_state("DEAD_LETTERS").await?.messages;
    ensure!(parked == 0, "{parked} messages were parked; the workload is at fault");
    Ok(sample)
}

/// Waits until every message of the backlog is acknowledged.
pub(super) async fn settled(world: &World, backlog: Backlog) -> Result<()> {
    until(world, backlog, ConsumerState::is_drained).await.map(drop)
}

async fn until(
    world: &World,
    backlog: Backlog,
    reached: impl Fn(&ConsumerState) -> bool,
) -> Result<ConsumerState> {
    let deadline = Instant::now() + DRAIN_WITHIN;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        look.tick().await;
        let state = world.operator.consumer_state(backlog.stream, backlog.consumer).await?;
        if reached(&state) {
            return Ok(state);
        }
        ensure!(Instant::now() < deadline, "not drained within {DRAIN_WITHIN:?}: {state:?}");
    }
}

async fn stop(program: &mut Child) -> Result<()> {
    let pid = program.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    kill_process(pid.context("the program has ended")?, Signal::TERM)?;
    let ended = tokio::time::timeout(STOP_WITHIN, program.wait()).await;
    ended.context("the program does not end at SIGTERM")??;
    Ok(())
}
