//! Carrying out: what waits in its order, a few at a time, each ended in time.
//!
//! Promises: a command is begun only after the journal has noted that; it ends when it is done,
//! its time is up, it is cancelled or the program stops, the latter three within
//! [`STOP_WITHIN`]; its end is noted before it is told.

use std::collections::hash_map::Entry;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use protocol::command::{
    Cancel, CommandEvent, CommandOutcome, CommandReason, ReasonCode, TrustKeys,
};
use protocol::limits::COMMAND_LIFE_MAX_MS;
use protocol::{Command, CommandId, Order, UnixMillis};
use runtime::causes::chain;
use runtime::shutdown::CancellationToken;
use runtime::trace::TracedSpan as _;
use serde_json::json;
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use super::answer::{NUMBER_AFTER_INTERRUPTION, Progress, fits};
use super::journal::Stage;
use super::{Desk, DeviceCommands, Ended, JournalError, Runner, Work};
use crate::traces;

/// How long a command that has to end is given to do so.
const STOP_WITHIN: Duration = Duration::from_millis(1_800);
/// Cancels, and ends that are told, at one time, beside what runs.
const URGENT_MAX: usize = 8;
/// How long to wait before the journal is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Why a running command has to end.
#[derive(Debug)]
pub(super) struct Cause {
    stop: CancellationToken,
    why: AtomicU8,
}

impl Desk {
    /// Whoever is given the cause is alone about the command until it leaves `running`.
    fn claim(&mut self, id: CommandId) -> Option<Arc<Cause>> {
        match self.running.entry(id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => Some(Arc::clone(vacant.insert(Arc::new(Cause::new())))),
        }
    }
}

const TIME_IS_UP: u8 = 1;
const CANCELLED: u8 = 2;
const STOPPING: u8 = 3;

impl Cause {
    fn new() -> Self {
        Self { stop: CancellationToken::new(), why: AtomicU8::new(0) }
    }

    /// The first cause counts.
    fn end(&self, why: u8) {
        let _ = self.why.compare_exchange(0, why, Ordering::Relaxed, Ordering::Relaxed);
        self.stop.cancel();
    }

    fn reason(&self, timeout_ms: u64) -> Option<CommandReason> {
        Some(match self.why.load(Ordering::Relaxed) {
            TIME_IS_UP => {
                let text = format!("not done within {timeout_ms} ms, and ended");
                CommandReason::new(ReasonCode::TimedOut, &text)
            }
            CANCELLED => CommandReason::new(ReasonCode::Cancelled, "ended by agent.cancel"),
            STOPPING => {
                let text = "the agent was stopped in the middle of it; send it again if need be";
                CommandReason::new(ReasonCode::Interrupted, text)
            }
            _ => return None,
        })
    }
}

impl<R: Runner> DeviceCommands<R> {
    /// Carries out what waits until `stop`, and then ends what runs.
    pub async fn work(&self, stop: &CancellationToken) {
        let mut running = JoinSet::new();
        let mut urgent = JoinSet::new();
        loop {
            while running.len() < self.0.settings.running_max
                && let Some((id, cause)) = self.next_waiting()
            {
                running.spawn(self.clone().carry_out(id, cause));
            }
            while urgent.len() < URGENT_MAX
                && let Some((id, cause)) = self.next_urgent()
            {
                urgent.spawn(self.clone().carry_out(id, cause));
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.0.news.notified() => {}
                Some(_) = running.join_next() => {}
                Some(_) = urgent.join_next() => {}
            }
        }
        for cause in self.desk().running.values() {
            cause.end(STOPPING);
        }
        let ending = async { while running.join_next().await.is_some() {} };
        // What does not end is told as interrupted by the next start.
        let _ = tokio::time::timeout(STOP_WITHIN * 2, ending).await;
    }

    fn next_waiting(&self) -> Option<(CommandId, Arc<Cause>)> {
        let mut desk = self.desk();
        loop {
            let id = desk.waiting.pop_front()?;
            if let Some(cause) = desk.claim(id) {
                return Some((id, cause));
            }
        }
    }

    fn next_urgent(&self) -> Option<(CommandId, Arc<Cause>)> {
        let mut desk = self.desk();
        loop {
            let id = desk.urgent.pop_front()?;
            if let Some(cause) = desk.claim(id) {
                return Some((id, cause));
            }
        }
    }

    /// Whatever there is to do about a command that nobody else is about, by how far it is.
    async fn carry_out(self, id: CommandId, cause: Arc<Cause>) {
        let origin = self.desk().origins.remove(&id);
        let span = traces::execution(id, origin.as_ref());
        self.see_to(id, cause).instrument(span).await;
    }

    async fn see_to(self, id: CommandId, cause: Arc<Cause>) {
        let done = match self.0.journal.stage(id) {
            Some(Stage::Waiting) => self.begin(id, &cause).await,
            // Nobody is about it, so it was begun by an earlier run.
            Some(Stage::Running) => self.tell_interrupted(id).await,
            Some(Stage::Ended { .. }) => self.tell_end(id).await,
            Some(Stage::CancelledAhead) | None => Ok(()),
        };
        if let Err(error) = done {
            self.0.counts.trouble(Some(error.to_string()));
            if self.0.journal.stage(id) == Some(Stage::Waiting) {
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
                self.desk().waiting.push_front(id);
            }
            // Any other stays as it is noted, and the next start goes on with it.
        }
        let mut desk = self.desk();
        desk.running.remove(&id);
        desk.brings_keys.take_if(|brings| *brings == id);
        drop(desk);
        self.0.keys_seen_to.notify_waiters();
        self.0.news.notify_one();
    }

    async fn begin(&self, id: CommandId, cause: &Cause) -> Result<(), JournalError> {
        let text = self.noted(move |journal| journal.text(id)).await?;
        let command = text.as_deref().map(Command::from_signed_text);
        let Some(Ok(command)) = command else {
            // Cancelled ahead, and killed before that was noted as its end.
            return self.tell_interrupted(id).await;
        };
        let order = match self.allowed(&command, UnixMillis::now()) {
            Ok(order) => order,
            Err(reason) => {
                self.log_refusal(Some(id), &reason);
                return self.finish(self.end_unstarted(id, reason)).await;
            }
        };
        if cause.why.load(Ordering::Relaxed) == STOPPING {
            // It waits for the next start.
            return Ok(());
        }
        let span = Span::current();
        span.is_called(format!("execute {}", command.kind));
        span.record("wegweiser.command.kind", &*command.kind);
        let event = self.run(&command, order, cause).await?;
        self.finish(event).await
    }

    async fn run(
        &self,
        command: &Command,
        order: Order,
        cause: &Cause,
    ) -> Result<CommandEvent, JournalError> {
        let id = command.command_id;
        if let Some(reason) = cause.reason(command.timeout_ms) {
            return Ok(self.end_unstarted(id, reason));
        }
        self.noted(move |journal| journal.start(id)).await?;
        tracing::info!(
            command = %id, kind = %command.kind, requester = %command.requester, "command begins"
        );
        let progress = Arc::new(Progress::new(id, 0));
        self.0.answers.started(&progress).await;
        let timeout_ms = command.timeout_ms;
        let work = Work {
            stop: cause.stop.clone(),
            timeout_ms,
            answers: self.0.answers.clone(),
            progress: Arc::clone(&progress),
        };
        let ended = self.within_its_time(order, work, cause).await;
        let reason = cause.reason(timeout_ms).or(ended.reason);
        let outcome =
            reason.as_ref().map_or(CommandOutcome::Succeeded, |reason| reason.code.outcome());
        let event = self.0.answers.end(&progress, outcome, reason, ended.result);
        let Err(too_large) = fits(&event) else { return Ok(event) };
        let reason = CommandReason::new(ReasonCode::Internal, &too_large);
        let unfit = CommandEvent { result: None, ..event };
        Ok(unfit.ended(CommandOutcome::Failed, Some(reason), None))
    }

    async fn within_its_time(&self, order: Order, work: Work, cause: &Cause) -> Ended {
        let timeout = Duration::from_millis(work.timeout_ms);
        let doing = AssertUnwindSafe(self.act(order, work)).catch_unwind();
        tokio::pin!(doing);
        let broke = || Ended::badly(ReasonCode::Internal, "the agent broke down on it", None);
        let over = async {
            tokio::select! {
                () = tokio::time::sleep(timeout) => cause.end(TIME_IS_UP),
                () = cause.stop.cancelled() => {}
            }
            tokio::time::sleep(STOP_WITHIN).await;
        };
        tokio::select! {
            ended = &mut doing => ended.unwrap_or_else(|_| broke()),
            () = over => Ended::badly(ReasonCode::Internal, "it did not end when told to", None),
        }
    }

    async fn act(&self, order: Order, work: Work) -> Ended {
        match order {
            Order::Cancel(cancel) => self.cancel(cancel).await,
            Order::TrustKeys(trust) => self.trust(trust).await,
            order => self.0.runner.run(order, work).await,
        }
    }

    async fn trust(&self, trust: TrustKeys) -> Ended {
        let (keys, count) = (self.0.keys.clone(), trust.keys.len());
        let replaced = tokio::task::spawn_blocking(move || keys.replace(&trust.keys)).await;
        match replaced {
            Ok(Ok(())) => Ended::well(json!({ "keys": count })),
            Ok(Err(error)) => Ended::badly(ReasonCode::Internal, &chain(&error), None),
            Err(error) => Ended::badly(ReasonCode::Internal, &error.to_string(), None),
        }
    }

    async fn cancel(&self, cancel: Cancel) -> Ended {
        let id = cancel.command_id;
        let now = UnixMillis::now();
        let until = UnixMillis::new(now.get().saturating_add(COMMAND_LIFE_MAX_MS));
        let met = {
            let mut desk = self.desk();
            let waits = desk.waiting.iter().position(|waiting| *waiting == id);
            let waits = waits.and_then(|place| desk.waiting.remove(place)).is_some();
            if waits {
                desk.origins.remove(&id);
            }
            (waits, desk.running.get(&id).map(Arc::clone))
        };
        let was = match met {
            (true, _) => {
                let text = "cancelled before it was begun";
                let reason = CommandReason::new(ReasonCode::Cancelled, text);
                match self.finish(self.end_unstarted(id, reason)).await {
                    Ok(()) => "waiting",
                    Err(error) => {
                        return Ended::badly(ReasonCode::Internal, &error.to_string(), None);
                    }
                }
            }
            (false, Some(cause)) => {
                cause.end(CANCELLED);
                "running"
            }
            (false, None) if self.0.journal.stage(id).is_some() => "ended",
            (false, None) => {
                match self.noted(move |journal| journal.cancel_ahead(id, until, now)).await {
                    Ok(()) => "unknown",
                    Err(error) => {
                        return Ended::badly(ReasonCode::Internal, &error.to_string(), None);
                    }
                }
            }
        };
        Ended::well(json!({ "command_id": id, "was": was }))
    }

    /// The end of a command that is not begun.
    pub(super) fn end_unstarted(&self, id: CommandId, reason: CommandReason) -> CommandEvent {
        let outcome = reason.code.outcome();
        self.0.answers.end(&Progress::new(id, 0), outcome, Some(reason), None)
    }

    async fn tell_interrupted(&self, id: CommandId) -> Result<(), JournalError> {
        let text = "the agent ended in the middle of it; whether it had its effect is not known, \
                    and it is not begun again";
        let reason = CommandReason::new(ReasonCode::Interrupted, text);
        let progress = Progress::new(id, NUMBER_AFTER_INTERRUPTION);
        let event = self.0.answers.end(&progress, CommandOutcome::Failed, Some(reason), None);
        self.finish(event).await
    }

    /// Notes an end and tells it.
    async fn finish(&self, event: CommandEvent) -> Result<(), JournalError> {
        let id = event.command_id;
        if let Some(outcome) = event.outcome {
            self.0.counts.ended(outcome);
            Span::current().record("wegweiser.command.outcome", outcome.as_str());
            tracing::info!(command = %id, ?outcome, "command ended");
        }
        let noted = event.clone();
        let result = self.noted(move |journal| journal.end(&noted)).await;
        // Told even if it could not be noted: then it is told once more as interrupted.
        self.0.answers.tell(&event).await;
        result?;
        self.note_told(id).await
    }

    /// In memory alone it would not outlive a kill: then the next start tells it again.
    async fn note_told(&self, id: CommandId) -> Result<(), JournalError> {
        if self.0.answers.are_kept() {
            return self.noted(move |journal| journal.told(id)).await;
        }
        Ok(())
    }

    async fn tell_end(&self, id: CommandId) -> Result<(), JournalError> {
        if let Some(event) = self.noted(move |journal| journal.event(id)).await? {
            self.0.answers.tell(&event).await;
        }
        self.note_told(id).await
    }

    /// Asks the journal, on a thread that may wait for the disk.
    async fn noted<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&super::Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = self.0.journal.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&journal)).await;
        asked.unwrap_or_else(|error| {
            Err(JournalError::Io {
                action: "cannot use",
                path: self.0.settings.journal.dir.clone(),
                problem: error.to_string(),
            })
        })
    }
}
