//! The messages of one kind: waiting in order of their numbers, or under way.
//!
//! Promises: what is sent again takes its old place; the bound holds for waiting and under way
//! together, and what is under way is never dropped.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::limits::{
    HEARTBEAT_PAYLOAD_MAX_BYTES, METRIC_PAYLOAD_MAX_BYTES, MONITORING_PAYLOAD_MAX_BYTES,
    RESPONSE_PAYLOAD_MAX_BYTES,
};
use protocol::{Kind, UnixMillis};

use super::{Bound, Bounds, HandOverError};

/// How often the wait for an answer is doubled at most.
const PATIENCE_DOUBLINGS: u32 = 3;

/// A kind without its metric; in the order in which they are sent when several wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Heartbeat,
    Response,
    Monitoring,
    Metric,
}

impl Class {
    pub(super) const ALL: [Self; Self::COUNT] =
        [Self::Heartbeat, Self::Response, Self::Monitoring, Self::Metric];
    pub(super) const COUNT: usize = 4;

    pub(super) const fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Metric(_) => Some(Self::Metric),
            Kind::Heartbeat => Some(Self::Heartbeat),
            Kind::Monitoring => Some(Self::Monitoring),
            Kind::Response => Some(Self::Response),
            Kind::Command => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Response => "response",
            Self::Monitoring => "monitoring",
            Self::Metric => "metric",
        }
    }

    pub(super) const fn payload_max_bytes(self) -> usize {
        match self {
            Self::Heartbeat => HEARTBEAT_PAYLOAD_MAX_BYTES,
            Self::Response => RESPONSE_PAYLOAD_MAX_BYTES,
            Self::Monitoring => MONITORING_PAYLOAD_MAX_BYTES,
            Self::Metric => METRIC_PAYLOAD_MAX_BYTES,
        }
    }

    /// Whether the oldest makes room, rather than the newest being refused.
    const fn drops_oldest(self) -> bool {
        matches!(self, Self::Heartbeat | Self::Metric)
    }
}

/// One message, numbered by its place in the queue's maps.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) at: UnixMillis,
    pub(super) payload: Bytes,
    /// By a clock that nobody sets.
    pub(super) handed: Instant,
    pub(super) attempts: u32,
}

/// Messages that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Metric points that outlived their ring.
    pub expired: u64,
    /// The oldest, when more came than may wait.
    pub overflow: u64,
    /// Larger than this broker takes, although within the contract.
    pub too_large: u64,
}

impl Dropped {
    /// For whatever reason.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.expired + self.overflow + self.too_large
    }
}

/// What an outbox did with one kind. `handed = confirmed + dropped + waiting + in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindFigures {
    /// Messages taken, which is also the highest number given out.
    pub handed: u64,
    /// Messages that the stream confirmed.
    pub confirmed: u64,
    /// Times that a message was sent again.
    pub retried: u64,
    /// Messages given up.
    pub dropped: Dropped,
    /// Messages that wait to be sent.
    pub waiting: u64,
    /// Messages sent and not yet confirmed.
    pub in_flight: u64,
    /// Oldest time stamp among the confirmed, by the device's clock.
    pub first_confirmed: Option<UnixMillis>,
    /// Newest time stamp among the confirmed, by the device's clock.
    pub last_confirmed: Option<UnixMillis>,
}

impl KindFigures {
    /// Messages that wait or are under way.
    #[must_use]
    pub const fn depth(&self) -> u64 {
        self.waiting + self.in_flight
    }
}

#[derive(Debug)]
struct InFlight {
    message: Message,
    answer_due: Instant,
}

#[derive(Debug)]
pub(super) struct Queue {
    class: Class,
    bound: Bound,
    /// How long a message is worth sending; `None`: for ever.
    life: Option<Duration>,
    waiting: BTreeMap<u64, Message>,
    in_flight: BTreeMap<u64, InFlight>,
    bytes: usize,
    figures: KindFigures,
}

impl Queue {
    pub(super) fn new(class: Class, bounds: &Bounds) -> Self {
        let (bound, life) = match class {
            Class::Heartbeat => (bounds.heartbeats, None),
            Class::Response => (bounds.responses, None),
            Class::Monitoring => (bounds.monitoring, None),
            Class::Metric => (bounds.metrics, Some(bounds.metric_life)),
        };
        Self {
            class,
            bound,
            life,
            waiting: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            bytes: 0,
            figures: KindFigures::default(),
        }
    }

    /// Numbers and keeps a message.
    pub(super) fn take_in(&mut self, message: Message) -> Result<u64, HandOverError> {
        self.expire(message.handed);
        let size = message.payload.len();
        while self.class.drops_oldest() && !self.has_room(size) {
            let Some((_, oldest)) = self.waiting.pop_first() else { break };
            self.bytes -= oldest.payload.len();
            self.figures.dropped.overflow += 1;
        }
        if !self.has_room(size) {
            return Err(HandOverError::Full {
                kind: self.class.name(),
                messages: self.depth(),
                bytes: self.bytes,
                bound: self.bound,
            });
        }
        self.figures.handed += 1;
        self.bytes += size;
        self.waiting.insert(self.figures.handed, message);
        Ok(self.figures.handed)
    }

    fn has_room(&self, size: usize) -> bool {
        self.depth() < self.bound.messages && self.bytes + size <= self.bound.bytes
    }

    /// The next message to send, which is under way from now on. It is overdue after
    /// `answer_within`, and after longer when it is sent again.
    pub(super) fn send_next(
        &mut self,
        now: Instant,
        answer_within: Duration,
    ) -> Option<(u64, Message)> {
        self.expire(now);
        let (number, mut message) = self.waiting.pop_first()?;
        if message.attempts > 0 {
            self.figures.retried += 1;
        }
        // Twice the patience each time: what is slow must not be asked again and again.
        let patience = answer_within * (1 << message.attempts.min(PATIENCE_DOUBLINGS));
        message.attempts = message.attempts.saturating_add(1);
        let in_flight = InFlight { message: message.clone(), answer_due: now + patience };
        self.in_flight.insert(number, in_flight);
        Some((number, message))
    }

    /// The stream has it; also true of an attempt that was given up before its answer came.
    pub(super) fn confirm(&mut self, number: u64) -> bool {
        let under_way = self.in_flight.remove(&number).map(|sent| sent.message);
        let Some(message) = under_way.or_else(|| self.waiting.remove(&number)) else {
            return false;
        };
        self.bytes -= message.payload.len();
        let figures = &mut self.figures;
        figures.confirmed += 1;
        let at = message.at;
        figures.first_confirmed = Some(figures.first_confirmed.map_or(at, |first| first.min(at)));
        figures.last_confirmed = Some(figures.last_confirmed.map_or(at, |last| last.max(at)));
        true
    }

    /// It has to be sent again. `false`: it is not under way.
    pub(super) fn take_back(&mut self, number: u64) -> bool {
        let Some(sent) = self.in_flight.remove(&number) else { return false };
        self.waiting.insert(number, sent.message);
        true
    }

    /// Everything under way has to be sent again.
    pub(super) fn take_all_back(&mut self) {
        let in_flight = std::mem::take(&mut self.in_flight);
        self.waiting.extend(in_flight.into_iter().map(|(number, sent)| (number, sent.message)));
    }

    /// What was not answered in time has to be sent again; whether there was any.
    pub(super) fn take_overdue_back(&mut self, now: Instant) -> bool {
        let overdue: Vec<u64> = self
            .in_flight
            .iter()
            .filter(|(_, sent)| sent.answer_due <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in &overdue {
            self.take_back(*number);
        }
        !overdue.is_empty()
    }

    /// The broker can never take it.
    pub(super) fn drop_too_large(&mut self, number: u64) {
        if let Some(sent) = self.in_flight.remove(&number) {
            self.bytes -= sent.message.payload.len();
            self.figures.dropped.too_large += 1;
        }
    }

    fn expire(&mut self, now: Instant) {
        let Some(life) = self.life else { return };
        while let Some(oldest) = self.waiting.first_entry() {
            if now.saturating_duration_since(oldest.get().handed) <= life {
                return;
            }
            self.bytes -= oldest.remove().payload.len();
            self.figures.dropped.expired += 1;
        }
    }

    pub(super) fn next_answer_due(&self) -> Option<Instant> {
        self.in_flight.values().map(|sent| sent.answer_due).min()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn depth(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    pub(super) fn figures(&self) -> KindFigures {
        let mut figures = self.figures;
        figures.waiting = self.waiting.len() as u64;
        figures.in_flight = self.in_flight.len() as u64;
        figures
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
