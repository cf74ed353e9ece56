//! Sending a few at a time, and waiting for what comes of each.
//!
//! Promises: never more than the plan permits are on their way; once too many did not succeed, no
//! other is sent, and those on their way are waited for. A kill of this process ends the rollout
//! and none of its commands.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use protocol::CommandId;
use storage::{CommandEnd, CommandRow, CommandState, CommandTarget, WantedOrder};
use tokio::time::Instant;
use uuid::Uuid;

use super::desk::Desk;
use super::tell::Teller;
use super::{EXIT_SOME_FAILED, EXIT_STOPPED};

/// Commands that are ordered in one statement.
const ORDERED_TOGETHER: usize = 500;
/// Pieces of output that are shown at one time.
const PIECES: u32 = 256;

/// Longest wait for output that is stored after the end, and how often it is looked for. A device
/// that lost count leaves numbers out.
const REST_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is to be sent, and how many at a time.
pub(super) struct Plan {
    pub(super) batch: Uuid,
    pub(super) wanted: WantedOrder,
    pub(super) at_a_time: usize,
    pub(super) stop_at_percent: Option<u32>,
}

/// A plan and how far it is.
pub(super) struct Rollout {
    plan: Plan,
    /// Those that are still to be sent to, the next one last.
    waiting: Vec<CommandTarget>,
    open: Vec<CommandId>,
    counts: BTreeMap<CommandState, u64>,
    teller: Teller,
    /// Of one device alone: its command, and the newest piece of its output that was shown.
    followed: Option<(CommandId, i64)>,
}

impl Rollout {
    pub(super) fn new(plan: Plan, mut targets: Vec<CommandTarget>, teller: Teller) -> Self {
        targets.reverse();
        let (open, counts) = (Vec::new(), BTreeMap::new());
        Self { plan, waiting: targets, open, counts, teller, followed: None }
    }

    /// Sends until all are sent or too many failed, and waits until all have ended.
    pub(super) async fn run(mut self, desk: &mut Desk) -> anyhow::Result<ExitCode> {
        let is_one = self.waiting.len() == 1;
        loop {
            self.send_more(desk).await?;
            if self.open.is_empty() {
                break;
            }
            if is_one {
                self.followed = self.followed.or(self.open.first().map(|id| (*id, -1)));
            }
            let ended = desk.ended(&self.open).await?;
            // After the look, so that what was said before an end is shown before it.
            self.show_output(desk).await?;
            self.take_in(desk, ended).await?;
        }
        let stopped = self.waiting.len();
        self.teller.end(&self.plan.batch, &self.counts, stopped)?;
        Ok(self.code())
    }

    async fn send_more(&mut self, desk: &Desk) -> anyhow::Result<()> {
        while !self.waiting.is_empty() && !self.has_failed_too_often() {
            let room = self.plan.at_a_time.saturating_sub(self.open.len());
            let next = room.min(ORDERED_TOGETHER).min(self.waiting.len());
            if next == 0 {
                return Ok(());
            }
            let mut targets = self.waiting.split_off(self.waiting.len() - next);
            targets.reverse();
            let ordered = desk.order(self.plan.batch, &self.plan.wanted, &targets).await?;
            self.open.extend(ordered.iter().map(|one| one.command));
        }
        Ok(())
    }

    async fn take_in(&mut self, desk: &Desk, ended: Vec<CommandRow>) -> anyhow::Result<()> {
        for row in ended {
            let end = desk.records.command_end(&row).await.context("reading the result")?;
            self.show_rest(desk, &end).await?;
            *self.counts.entry(row.state).or_default() += 1;
            self.open.retain(|open| *open != row.command);
            self.teller.ended(&row, end.result)?;
        }
        Ok(())
    }

    async fn show_output(&mut self, desk: &Desk) -> anyhow::Result<()> {
        let Some((command, shown)) = self.followed else { return Ok(()) };
        let row = desk.records.command(command).await.context("looking at the command")?;
        let Some(row) = row else { return Ok(()) };
        let mut shown = shown;
        loop {
            let pieces = desk.records.command_output(&row, shown, PIECES).await;
            let pieces = pieces.context("reading the output")?;
            let Some(last) = pieces.last() else { break };
            shown = last.number;
            self.teller.output(&pieces)?;
        }
        self.followed = Some((command, shown));
        Ok(())
    }

    /// Receivers store side by side: what was said last may be stored before what was said before it.
    async fn show_rest(&mut self, desk: &Desk, end: &CommandEnd) -> anyhow::Result<()> {
        let deadline = Instant::now() + REST_WITHIN;
        while let (Some((_, shown)), Some(number)) = (self.followed, end.number) {
            // One that printed nothing ends with number 1.
            if shown + 1 >= number || number <= 1 || Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            self.show_output(desk).await?;
        }
        Ok(())
    }

    fn failed(&self) -> u64 {
        let failed = self.counts.iter().filter(|(state, _)| **state != CommandState::Succeeded);
        failed.map(|(_, count)| count).sum()
    }

    fn has_failed_too_often(&self) -> bool {
        let Some(percent) = self.plan.stop_at_percent else { return false };
        let ended: u64 = self.counts.values().sum();
        self.failed() * 100 > ended * u64::from(percent)
    }

    fn code(&self) -> ExitCode {
        if !self.waiting.is_empty() {
            return ExitCode::from(EXIT_STOPPED);
        }
        if self.failed() > 0 { ExitCode::from(EXIT_SOME_FAILED) } else { ExitCode::SUCCESS }
    }
}
