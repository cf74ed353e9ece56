//! Commands: sent by the backend (`send.rs`); on the device's side fetched, checked, noted, carried out once, answered.
//!
//! ```text
//! fetch.rs     pulls from the device's own consumer; acknowledges what is noted
//! gate.rs      what is believed, and what is refused with its reason
//! journal/     what is known of every command, on disk
//! work.rs      carries out what waits, a few at a time; cancels, ends in time
//! answer.rs    events, on their way through the outbox
//! ```
//! Promises: nothing runs that a believed key did not sign for this device, in time; nothing runs
//! twice, whatever is delivered and whenever the process dies; every command that was taken is
//! answered with one end, which repetitions get again. Refuses: to know what a kind does; a
//! [`Runner`] does.

mod answer;
mod fetch;
mod gate;
mod journal;
mod keys;
mod report;
mod send;
mod work;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::command::{CommandReason, OutputStream, ReasonCode};
use protocol::{CommandId, CommandKind, Order, UnixMillis};
use runtime::shutdown::CancellationToken;
use runtime::trace::{self, SpanContext};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{Outbox, Sender};
use answer::Answers;
pub(crate) use journal::Noted;
use journal::{Journal, Left};
pub use journal::{JournalError, JournalSettings};
pub use keys::{BelievedKeys, BelievedKeysError};
use report::Counts;
pub use send::CommandSender;
use work::Cause;

/// Does what is ordered; what that means is the program's matter.
pub trait Runner: Send + Sync + 'static {
    /// Whether the device's own configuration allows it, before anything is begun.
    ///
    /// # Errors
    /// Why not.
    fn permits(&self, order: &Order) -> Result<(), CommandReason>;

    /// Does it. Ends soon after [`Work::stop`] is cancelled; it is dropped a little later.
    fn run(&self, order: Order, work: Work) -> impl Future<Output = Ended> + Send;
}

/// How it went.
#[derive(Debug)]
pub struct Ended {
    pub(crate) result: Option<Value>,
    pub(crate) reason: Option<CommandReason>,
}

impl Ended {
    /// It did what was asked.
    #[must_use]
    pub const fn well(result: Value) -> Self {
        Self { result: Some(result), reason: None }
    }

    /// It did not, and this is what there is to show.
    #[must_use]
    pub fn badly(code: ReasonCode, text: &str, result: Option<Value>) -> Self {
        Self { result, reason: Some(CommandReason::new(code, text)) }
    }
}

/// What a running command has to do with.
#[derive(Clone, Debug)]
pub struct Work {
    /// Cancelled when it has to end: its time is up, it was cancelled, or the program stops.
    pub stop: CancellationToken,
    /// How long it may run, in milliseconds.
    pub timeout_ms: u64,
    answers: Answers,
    progress: Arc<answer::Progress>,
}

impl Work {
    /// Which command it is.
    #[must_use]
    pub fn command_id(&self) -> CommandId {
        self.progress.command_id
    }

    /// Tells what a program printed; waits while there is no room for more.
    pub async fn printed(&self, stream: OutputStream, offset: u64, chunk: String, cut: bool) {
        self.answers.output(&self.progress, (stream, offset, chunk, cut)).await;
    }
}

/// What a device is told about commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSettings {
    /// Where the journal is.
    pub journal: JournalSettings,
    /// How many may run at one time.
    pub running_max: usize,
}

/// A device's commands; cheap to clone. [`DeviceCommands::fetch`] brings them,
/// [`DeviceCommands::work`] carries them out.
#[derive(Debug)]
pub struct DeviceCommands<R>(Arc<Inner<R>>);

impl<R> Clone for DeviceCommands<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<R> {
    sender: Sender,
    settings: CommandSettings,
    keys: BelievedKeys,
    journal: Journal,
    answers: Answers,
    runner: R,
    counts: Counts,
    desk: Mutex<Desk>,
    /// Something waits, or ended.
    news: Notify,
    /// Keys that were brought are believed, or will not be.
    keys_seen_to: Notify,
}

/// What is to be done and what is being done.
#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<CommandId>,
    /// Cancels, which do not wait for what they are to cancel, and keys.
    urgent: VecDeque<CommandId>,
    /// The command that brings keys by which what follows it may be signed.
    brings_keys: Option<CommandId>,
    running: HashMap<CommandId, Arc<Cause>>,
    /// Where the traces go on of those that wait; kept in memory alone.
    origins: HashMap<CommandId, SpanContext>,
}

impl Desk {
    /// What is done about a command goes on in the current trace, if that is recorded.
    fn note_origin(&mut self, id: CommandId) {
        if let Some(origin) = trace::current() {
            self.origins.insert(id, origin);
        }
    }
}

impl<R: Runner> DeviceCommands<R> {
    /// Opens the journal; what an earlier run left is told or waits.
    ///
    /// # Errors
    /// The journal cannot be used; a later call may work.
    pub fn open(
        sender: Sender,
        settings: CommandSettings,
        keys: BelievedKeys,
        outbox: Outbox,
        runner: R,
    ) -> Result<Self, JournalError> {
        let (journal, left) = Journal::open(&settings.journal, UnixMillis::now())?;
        let answers = Answers::new(sender, outbox);
        let commands = Self(Arc::new(Inner {
            sender,
            settings,
            keys,
            journal,
            answers,
            runner,
            counts: Counts::default(),
            desk: Mutex::default(),
            news: Notify::new(),
            keys_seen_to: Notify::new(),
        }));
        commands.adopt(left);
        Ok(commands)
    }

    /// What an earlier run left: what waits is carried out, what was begun is told as interrupted.
    fn adopt(&self, left: Left) {
        let Left { waiting, interrupted, untold } = left;
        if !(waiting.is_empty() && interrupted.is_empty() && untold.is_empty()) {
            tracing::info!(
                waiting = waiting.len(),
                interrupted = interrupted.len(),
                untold = untold.len(),
                "commands of an earlier run"
            );
        }
        let mut desk = self.desk();
        desk.waiting.extend(waiting);
        // Those that ended or broke off are told by the same tasks: their stage says how.
        desk.urgent.extend(interrupted);
        desk.urgent.extend(untold);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a command that was noted where it is carried out from.
    fn enqueue(&self, id: CommandId, kind: CommandKind) {
        let mut desk = self.desk();
        desk.note_origin(id);
        match kind {
            CommandKind::Cancel => desk.urgent.push_back(id),
            CommandKind::TrustKeys => {
                desk.urgent.push_back(id);
                desk.brings_keys = Some(id);
            }
            _ => desk.waiting.push_back(id),
        }
        drop(desk);
        self.0.news.notify_one();
    }
}

#[cfg(test)]
mod tests;
