//! What a device hands over for publishing, until the stream has confirmed each message.
//!
//! Promises: a message is numbered per kind when it is handed over and keeps that number as its
//! id, however often it is sent and by whichever run; it leaves only by the stream's confirmation
//! or by a drop that is counted with its reason. Numbers go out in order per kind as long as
//! nothing has to be sent again. With a spool a message is on disk before `hand_over` returns, and
//! memory holds only the newest while the broker is away. Without one, or while its folder cannot
//! be used, memory is bounded per kind in messages and bytes: metrics and heartbeats lose their
//! oldest, monitoring reports and responses are refused to the caller.
//!
//! Refuses: payloads above the contract's limits, which the broker would not take later either.

mod allowance;
mod answer;
mod deliver;
mod queue;
mod standing;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{DeviceId, Kind, KindCounts, SessionId, TenantId, UnixMillis};
use runtime::trace;
use tokio::sync::Notify;

use crate::class::Class;
use crate::spool::SpoolSettings;
pub use queue::KindFigures;
use queue::Message;
pub use standing::SpoolStanding;
use state::State;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// Which run of its agent; numbers start at 1 in each.
    pub session: SessionId,
}

/// How much of one kind may wait. Whichever is reached first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Messages, those under way included.
    pub messages: usize,
    /// Their payloads, in bytes.
    pub bytes: usize,
}

/// The bounds of an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Messages of all kinds that may be sent and not yet confirmed.
    pub in_flight_messages: usize,
    /// A metric point older than this is no longer worth sending: its ring has forgotten it.
    pub metric_life: Duration,
    /// Metric points; the oldest go first.
    pub metrics: Bound,
    /// Heartbeats; only the newest say something.
    pub heartbeats: Bound,
    /// Monitoring reports; one more is refused.
    pub monitoring: Bound,
    /// Responses; one more is refused.
    pub responses: Bound,
}

impl Bounds {
    /// For the agent of one device: fifteen minutes of six metrics every two seconds fit.
    pub const AGENT: Self = Self {
        in_flight_messages: 128,
        metric_life: Duration::from_secs(900),
        metrics: Bound { messages: 4_096, bytes: 2 * 1024 * 1024 },
        heartbeats: Bound { messages: 4, bytes: 256 * 1024 },
        monitoring: Bound { messages: 8, bytes: 1024 * 1024 },
        responses: Bound { messages: 64, bytes: 2 * 1024 * 1024 },
    };
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HandOverError {
    /// As many as may wait are waiting.
    #[error(
        "{messages} {kind} messages of {bytes} bytes wait for the broker and no more fit \
         (bounds: {} messages, {} bytes); hand it over again later", bound.messages, bound.bytes
    )]
    Full {
        /// Of which kind.
        kind: &'static str,
        /// How many wait.
        messages: usize,
        /// How large they are together.
        bytes: usize,
        /// How much may.
        bound: Bound,
    },
    /// No receiver takes it.
    #[error("a {kind} message of {bytes} bytes: it may have {limit}")]
    TooLarge {
        /// Of which kind.
        kind: &'static str,
        /// Its size.
        bytes: usize,
        /// The contract's limit.
        limit: usize,
    },
    /// Devices do not send commands.
    #[error("a command is sent to a device, not by one")]
    Command,
}

/// What an outbox did and holds, per kind.
#[derive(Clone, Debug, Default)]
pub struct OutboxFigures {
    /// Metric points.
    pub metric: KindFigures,
    /// Heartbeats.
    pub heartbeat: KindFigures,
    /// Monitoring reports.
    pub monitoring: KindFigures,
    /// Responses.
    pub response: KindFigures,
    /// The newest reason for which something was not confirmed, in plain words.
    pub last_error: Option<Arc<str>>,
    /// Kinds that are not confirmed now, each with its reason.
    pub troubles: Vec<(&'static str, Arc<str>)>,
}

impl OutboxFigures {
    /// Every kind with its name.
    #[must_use]
    pub const fn kinds(&self) -> [(&'static str, &KindFigures); 4] {
        [
            ("metric", &self.metric),
            ("heartbeat", &self.heartbeat),
            ("monitoring", &self.monitoring),
            ("response", &self.response),
        ]
    }

    /// Messages taken.
    #[must_use]
    pub fn handed(&self) -> u64 {
        self.kinds().iter().map(|(_, kind)| kind.handed).sum()
    }

    /// Messages that wait or are under way.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.kinds().iter().map(|(_, kind)| kind.depth()).sum()
    }
}

/// What a device hands over for publishing; cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: Sender,
    bounds: Bounds,
    spool: Option<SpoolSettings>,
    state: Arc<Mutex<State>>,
    work: Arc<Notify>,
}

impl Outbox {
    /// An empty outbox in memory; [`Outbox::deliver`] empties it.
    #[must_use]
    pub fn new(sender: Sender, bounds: Bounds) -> Self {
        Self::start(sender, bounds, None)
    }

    fn start(sender: Sender, bounds: Bounds, spool: Option<SpoolSettings>) -> Self {
        let state = Arc::new(Mutex::new(State::new(sender.session, &bounds)));
        Self { sender, bounds, spool, state, work: Arc::default() }
    }

    /// Takes a message of the device, made `at` by the device's clock, and numbers it. Where a
    /// trace is recorded, the message goes on with it; on disk that is not kept.
    ///
    /// # Errors
    /// It is too large, or it is a monitoring report or response and there is no room. It has no
    /// number then.
    pub fn hand_over(
        &self,
        kind: Kind,
        at: UnixMillis,
        payload: Bytes,
    ) -> Result<u64, HandOverError> {
        let class = Class::of(&kind).ok_or(HandOverError::Command)?;
        let limit = class.payload_max_bytes();
        if payload.len() > limit {
            return Err(HandOverError::TooLarge {
                kind: class.name(),
                bytes: payload.len(),
                limit,
            });
        }
        let message = Message {
            kind,
            at,
            payload,
            handed: Instant::now(),
            attempts: 0,
            place: None,
            origin: trace::current().map(Box::new),
        };
        let number = self.lock().take_in(class, message)?;
        self.work.notify_one();
        Ok(number)
    }

    /// Which run this is.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.sender.session
    }

    /// The highest number given out per kind: what the books balance against.
    #[must_use]
    pub fn sent(&self) -> KindCounts {
        let figures = self.figures();
        KindCounts {
            metric: figures.metric.handed,
            heartbeat: figures.heartbeat.handed,
            monitoring: figures.monitoring.handed,
            response: figures.response.handed,
        }
    }

    /// What it did and holds.
    #[must_use]
    pub fn figures(&self) -> OutboxFigures {
        figures(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn figures(state: &State) -> OutboxFigures {
    OutboxFigures {
        metric: state.figures(Class::Metric),
        heartbeat: state.figures(Class::Heartbeat),
        monitoring: state.figures(Class::Monitoring),
        response: state.figures(Class::Response),
        last_error: state.last_error.clone(),
        troubles: state.troubles(),
    }
}
