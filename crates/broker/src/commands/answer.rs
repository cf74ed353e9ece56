//! Answers: events of commands, handed to the outbox.
//!
//! Promises: an event is handed over in its order; while the outbox has no room for one, whoever
//! tells it waits. Refuses: to wait for room for refusals, which somebody may cause in any number.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::command::{CommandEvent, CommandOutcome, CommandReason, EventWord, OutputStream};
use protocol::limits::RESPONSE_PAYLOAD_MAX_BYTES;
use protocol::{CommandId, Kind, UnixMillis};

use crate::{HandOverError, Outbox, Sender, SpoolStanding};

/// How long to wait before the outbox is asked again whether it has room.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Refusals that are told within [`REFUSALS_WITHIN`]; more are only counted.
const REFUSALS_MAX: u32 = 60;
const REFUSALS_WITHIN: Duration = Duration::from_secs(60);
/// Number of a finished event whose command lost count of those before.
pub(super) const NUMBER_AFTER_INTERRUPTION: u32 = 1_000_000;
/// Numbers of refusals beside a command that the device has begin here.
const NUMBER_OF_REFUSALS: u32 = 2_000_000;

/// How far the events of one command are.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) command_id: CommandId,
    next: AtomicU32,
}

impl Progress {
    pub(super) fn new(command_id: CommandId, next: u32) -> Self {
        Self { command_id, next: AtomicU32::new(next) }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Answers {
    sender: Sender,
    outbox: Outbox,
    refusals: Arc<Mutex<Refusals>>,
}

#[derive(Debug)]
struct Refusals {
    since: Instant,
    told: u32,
    number: u32,
}

/// What was printed where: stream, bytes before it, text, whether more is left out.
pub(super) type Printed = (OutputStream, u64, String, bool);

impl Answers {
    pub(super) fn new(sender: Sender, outbox: Outbox) -> Self {
        let refusals = Refusals { since: Instant::now(), told: 0, number: NUMBER_OF_REFUSALS };
        Self { sender, outbox, refusals: Arc::new(Mutex::new(refusals)) }
    }

    pub(super) async fn started(&self, progress: &Progress) {
        self.tell(&self.next(progress, EventWord::Started)).await;
    }

    pub(super) async fn output(&self, progress: &Progress, printed: Printed) {
        let (stream, offset, chunk, cut) = printed;
        let event = CommandEvent {
            stream: Some(stream),
            offset: Some(offset),
            chunk: Some(chunk),
            cut: Some(cut),
            ..self.next(progress, EventWord::Output)
        };
        self.tell(&event).await;
    }

    /// The end of a command, to be noted before it is told.
    pub(super) fn end(
        &self,
        progress: &Progress,
        outcome: CommandOutcome,
        reason: Option<CommandReason>,
        result: Option<serde_json::Value>,
    ) -> CommandEvent {
        self.next(progress, EventWord::Finished).ended(outcome, reason, result)
    }

    /// Whether what is handed over outlives this process.
    pub(super) fn are_kept(&self) -> bool {
        matches!(self.outbox.standing(), SpoolStanding::Well { .. })
    }

    /// Hands an event over, as soon as there is room.
    pub(super) async fn tell(&self, event: &CommandEvent) {
        while let Err(HandOverError::Full { .. }) = self.hand_over(event) {
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
    }

    /// Tells that a message was refused, unless too many were; `known`: the device has a command
    /// of that id, which is left as it is.
    pub(super) fn refuse(&self, id: CommandId, reason: CommandReason, known: bool) {
        let Some(number) = self.may_refuse() else { return };
        let (word, number) =
            if known { (EventWord::Refused, number) } else { (EventWord::Finished, 0) };
        let event = CommandEvent::running(self.of(id), word, number, UnixMillis::now());
        let event = event.ended(reason.code.outcome(), Some(reason), None);
        // No room: it is counted all the same.
        let _ = self.hand_over(&event);
    }

    #[cfg(test)]
    pub(super) fn handed(&self) -> u64 {
        self.outbox.figures().response.handed
    }

    fn may_refuse(&self) -> Option<u32> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.since.elapsed() > REFUSALS_WITHIN {
            (refusals.since, refusals.told) = (Instant::now(), 0);
        }
        refusals.told = refusals.told.saturating_add(1);
        refusals.number = refusals.number.saturating_add(1);
        (refusals.told <= REFUSALS_MAX).then_some(refusals.number)
    }

    fn hand_over(&self, event: &CommandEvent) -> Result<(), HandOverError> {
        let Ok(body) = serde_json::to_vec(event) else { return Ok(()) };
        let handed = self.outbox.hand_over(Kind::Response, event.timestamp_ms, Bytes::from(body));
        match handed {
            Err(error @ HandOverError::Full { .. }) => Err(error),
            Err(error) => {
                tracing::error!(command = %event.command_id, %error, "an answer is not told");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    fn next(&self, progress: &Progress, word: EventWord) -> CommandEvent {
        let number = progress.next.fetch_add(1, Ordering::Relaxed);
        CommandEvent::running(self.of(progress.command_id), word, number, UnixMillis::now())
    }

    const fn of(&self, id: CommandId) -> (protocol::TenantId, protocol::DeviceId, CommandId) {
        (self.sender.tenant, self.sender.device, id)
    }
}

/// Whether a result fits into an answer.
pub(super) fn fits(event: &CommandEvent) -> Result<(), String> {
    let bytes = serde_json::to_vec(event).map_or(usize::MAX, |body| body.len());
    if bytes <= RESPONSE_PAYLOAD_MAX_BYTES {
        return Ok(());
    }
    Err(format!("the answer has {bytes} bytes of {RESPONSE_PAYLOAD_MAX_BYTES}; ask for less"))
}
