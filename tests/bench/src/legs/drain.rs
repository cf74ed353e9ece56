//! Legs (c), (e), (h), (i), (j) and (k): receivers drain a backlog, as in operation, and are watched
//! from outside. A peer that settles a durable consumer can be watched in the same way.
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

/// Which backlog is drained, by how many receivers with which settings.
#[derive(Clone)]
pub(super) struct Drain {
    pub(super) backlog: Backlog,
    pub(super) leg: Leg,
    pub(super) variant: String,
    pub(super) replicas: usize,
    /// Settings that differ from the receiver's defaults.
    pub(super) settings: Vec<(&'static str, String)>,
}

impl Drain {
    /// One receiver with its defaults.
    pub(super) const fn new(backlog: Backlog, leg: Leg) -> Self {
        Self { backlog, leg, variant: String::new(), replicas: 1, settings: Vec::new() }
    }

    pub(super) fn named(self, variant: impl Into<String>) -> Self {
        Self { variant: variant.into(), ..self }
    }

    pub(super) async fn measure(&self, world: &World, run: usize) -> Result<Sample> {
        let mut receivers = Vec::new();
        for _ in 0..self.replicas {
            receivers.push(world.receiver(&self.settings)?);
        }
        let measured = self.watch(world, run, &mut receivers).await;
        measured.with_context(|| {
            let log = std::fs::read_to_string(world.receiver_log()).unwrap_or_default();
            format!("draining {}; the program says:\n{log}", self.backlog.stream)
        })
    }

    /// Watches `programs` drain the backlog, and stops them.
    pub(super) async fn watch(
        &self,
        world: &World,
        run: usize,
        programs: &mut [Child],
    ) -> Result<Sample> {
        let measured = self.watch_running(world, run, programs).await;
        for program in programs {
            stop(program).await?;
        }
        measured
    }

    async fn watch_running(&self, world: &World, run: usize, programs: &[Child]) -> Result<Sample> {
        let backlog = self.backlog;
        let mut meter = world.meter.clone();
        let mut pids = Vec::new();
        for program in programs {
            let pid = program.id().context("the program has ended")?;
            meter = meter.with("receiver", pid);
            pids.push(pid);
        }
        let full = backlog.messages as u64;
        let waiting = until(world, backlog, |state| state.num_pending < full).await?;
        let watch = Watch::start(&meter)?;
        settled(world, backlog).await?;
        let already = full - waiting.num_pending - waiting.num_ack_pending;
        let messages = backlog.messages - usize::try_from(already)?;
        let mut sample = watch.stop(self.leg, run, messages)?;
        sample.variant.clone_from(&self.variant);
        for pid in pids {
            let peak = cost::peak_rss_bytes(pid)?;
            sample.cost.peak_rss_bytes = sample.cost.peak_rss_bytes.max(Some(peak));
        }
        let parked = world.operator.stream_state("DEAD_LETTERS").await?.messages;
        ensure!(parked == 0, "{parked} messages were parked; the workload is at fault");
        Ok(sample)
    }
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

/// Ends a program by SIGTERM, as an operator does.
pub(super) async fn stop(program: &mut Child) -> Result<()> {
    let pid = program.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    kill_process(pid.context("the program has ended")?, Signal::TERM)?;
    let ended = tokio::time::timeout(STOP_WITHIN, program.wait()).await;
    ended.context("the program does not end at SIGTERM")??;
    Ok(())
}
