//! The messages of one kind that are in memory: waiting in the order in which they were handed
//! over, or under way.
//!
//! Promises: what is sent again takes its old place; the bound holds for waiting and under way
//! together, and what is under way is never dropped. What leaves is returned, for its place on disk
//! has to be settled.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{DropReasons, Kind, SessionId, UnixMillis};
use runtime::trace::{Span, SpanContext};

use super::{Bound, Bounds, HandOverError};
use crate::class::Class;
use crate::spool::{Place, Record};

/// How often the wait for an answer is doubled at most.
const PATIENCE_DOUBLINGS: u32 = 3;

/// Session and number: the order in which messages were handed over.
pub(super) type Key = (SessionId, u64);

/// One message; its key in the queue's maps numbers it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) at: UnixMillis,
    pub(super) payload: Bytes,
    /// By a clock that nobody sets.
    pub(super) handed: Instant,
    pub(super) attempts: u32,
    /// Where it is on disk; `None`: in memory only.
    pub(super) place: Option<Place>,
    /// The trace that it belongs to, where it belongs to one already.
    pub(super) origin: Option<Box<SpanContext>>,
}

impl Message {
    /// As it is kept on disk.
    pub(super) fn to_record(&self, number: u64, kept_at: UnixMillis) -> Record {
        let (at, kind, payload) = (self.at, self.kind.clone(), self.payload.clone());
        Record { number, kept_at, at, kind, payload }
    }
}

/// What an outbox did with one kind. `handed = confirmed + dropped + depth - earlier`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindFigures {
    /// Messages taken in this session, which is also the highest number given out.
    pub handed: u64,
    /// Messages of this session that the stream confirmed.
    pub confirmed: u64,
    /// Times that a message was sent again.
    pub retried: u64,
    /// Messages of this session given up.
    pub dropped: DropReasons,
    /// Messages that wait in memory to be sent.
    pub waiting: u64,
    /// Messages sent and not yet confirmed.
    pub in_flight: u64,
    /// Messages that wait on disk only.
    pub on_disk: u64,
    /// Messages of earlier sessions among the waiting, in flight and on disk.
    pub earlier: u64,
    /// Messages of earlier sessions that the stream confirmed to this one.
    pub recovered: u64,
    /// Oldest time stamp among the confirmed, by the device's clock.
    pub first_confirmed: Option<UnixMillis>,
    /// Newest time stamp among the confirmed, by the device's clock.
    pub last_confirmed: Option<UnixMillis>,
}

impl KindFigures {
    /// Messages that wait or are under way.
    #[must_use]
    pub const fn depth(&self) -> u64 {
        self.waiting + self.in_flight + self.on_disk
    }
}

#[derive(Debug)]
struct InFlight {
    message: Message,
    answer_due: Instant,
    /// Ends with the answer.
    span: Span,
}

impl InFlight {
    /// This attempt came to nothing.
    fn taken_back(self) -> Message {
        self.span.failed("unconfirmed", &"its stream did not confirm it; it is sent again");
        self.message
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    class: Class,
    session: SessionId,
    pub(super) bound: Bound,
    /// How long a message is worth sending; `None`: for ever.
    pub(super) life: Option<Duration>,
    waiting: BTreeMap<Key, Message>,
    in_flight: BTreeMap<Key, InFlight>,
    bytes: usize,
    pub(super) figures: KindFigures,
}

impl Queue {
    pub(super) fn new(class: Class, bounds: &Bounds, session: SessionId) -> Self {
        let (bound, life) = match class {
            Class::Heartbeat => (bounds.heartbeats, None),
            Class::Response => (bounds.responses, None),
            Class::Monitoring => (bounds.monitoring, None),
            Class::Metric => (bounds.metrics, Some(bounds.metric_life)),
        };
        Self {
            class,
            session,
            bound,
            life,
            waiting: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            bytes: 0,
            figures: KindFigures::default(),
        }
    }

    /// Numbers and keeps a message, for which there is room.
    pub(super) fn insert(&mut self, message: Message) -> u64 {
        self.figures.handed += 1;
        self.bytes += message.payload.len();
        self.waiting.insert((self.session, self.figures.handed), message);
        self.figures.handed
    }

    pub(super) fn has_room(&self, size: usize) -> bool {
        self.depth() < self.bound.messages && self.bytes + size <= self.bound.bytes
    }

    pub(super) fn full(&self) -> HandOverError {
        HandOverError::Full {
            kind: self.class.name(),
            messages: self.depth(),
            bytes: self.bytes,
            bound: self.bound,
        }
    }

    /// The oldest that waits leaves.
    pub(super) fn pop_oldest(&mut self) -> Option<(Key, Message)> {
        let (key, message) = self.waiting.pop_first()?;
        self.bytes -= message.payload.len();
        Some((key, message))
    }

    /// The oldest that waits and is on disk leaves, if more than `window` is in memory.
    pub(super) fn pop_beyond(&mut self, window: Bound) -> Option<Place> {
        if self.depth() <= window.messages && self.bytes <= window.bytes {
            return None;
        }
        let on_disk = self.waiting.iter().find_map(|(key, message)| Some((*key, message.place?)));
        let (key, place) = on_disk?;
        let message = self.waiting.remove(&key)?;
        self.bytes -= message.payload.len();
        Some(place)
    }

    /// What waits and has outlived its use leaves, the oldest first.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<(Key, Message)> {
        let oldest = self.waiting.first_key_value()?.1;
        let age = now.saturating_duration_since(oldest.handed);
        self.life.is_some_and(|life| age > life).then(|| self.pop_oldest())?
    }

    /// The next message to send, which is under way from now on. It is overdue after
    /// `answer_within`, and after longer when it is sent again.
    pub(super) fn send_next(
        &mut self,
        now: Instant,
        answer_within: Duration,
    ) -> Option<(Key, Message)> {
        let (key, message) = self.pop_oldest()?;
        if message.attempts > 0 {
            self.figures.retried += 1;
        }
        Some((key, self.send(key, message, now, answer_within)))
    }

    /// As [`Queue::send_next`], for a message that was on disk only.
    pub(super) fn send(
        &mut self,
        key: Key,
        mut message: Message,
        now: Instant,
        answer_within: Duration,
    ) -> Message {
        // Twice the patience each time: what is slow must not be asked again and again.
        let patience = answer_within * (1 << message.attempts.min(PATIENCE_DOUBLINGS));
        message.attempts = message.attempts.saturating_add(1);
        self.bytes += message.payload.len();
        let (answer_due, span) = (now + patience, Span::default());
        let in_flight = InFlight { message: message.clone(), answer_due, span };
        self.in_flight.insert(key, in_flight);
        message
    }

    /// What is under way is this span.
    pub(super) fn note_span(&mut self, key: Key, span: Span) {
        if let Some(sent) = self.in_flight.get_mut(&key) {
            sent.span = span;
        }
    }

    /// The stream has it; also true of an attempt that was given up before its answer came. Its
    /// message, if it was in memory.
    pub(super) fn confirm(&mut self, key: Key) -> Option<Message> {
        let message = self.remove(key)?;
        let figures = &mut self.figures;
        if key.0 == self.session {
            figures.confirmed += 1;
        } else {
            figures.recovered += 1;
        }
        let at = message.at;
        figures.first_confirmed = Some(figures.first_confirmed.map_or(at, |first| first.min(at)));
        figures.last_confirmed = Some(figures.last_confirmed.map_or(at, |last| last.max(at)));
        Some(message)
    }

    /// It is in memory no longer.
    pub(super) fn remove(&mut self, key: Key) -> Option<Message> {
        let under_way = self.in_flight.remove(&key).map(|sent| sent.message);
        let message = under_way.or_else(|| self.waiting.remove(&key))?;
        self.bytes -= message.payload.len();
        Some(message)
    }

    /// It has to be sent again. `false`: it is not under way.
    pub(super) fn take_back(&mut self, key: Key) -> bool {
        let Some(sent) = self.in_flight.remove(&key) else { return false };
        self.waiting.insert(key, sent.taken_back());
        true
    }

    /// Everything under way has to be sent again.
    pub(super) fn take_all_back(&mut self) {
        let in_flight = std::mem::take(&mut self.in_flight);
        self.waiting.extend(in_flight.into_iter().map(|(key, sent)| (key, sent.taken_back())));
    }

    /// What was not answered in time has to be sent again; whether there was any.
    pub(super) fn take_overdue_back(&mut self, now: Instant) -> bool {
        let overdue: Vec<Key> = self
            .in_flight
            .iter()
            .filter(|(_, sent)| sent.answer_due <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in &overdue {
            self.take_back(*key);
        }
        !overdue.is_empty()
    }

    /// The file with this id is gone: what was in it is in memory only.
    pub(super) fn forget_segment(&mut self, segment: u64) {
        let under_way = self.in_flight.values_mut().map(|sent| &mut sent.message);
        for message in self.waiting.values_mut().chain(under_way) {
            message.place.take_if(|place| place.segment == segment);
        }
    }

    /// Where the messages in memory are on disk.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let under_way = self.in_flight.values().map(|sent| &sent.message);
        self.waiting.values().chain(under_way).filter_map(|message| message.place)
    }

    /// Messages that wait and are in memory only, in order.
    pub(super) fn unplaced_mut(&mut self) -> impl Iterator<Item = (Key, &mut Message)> {
        let unplaced = self.waiting.iter_mut().filter(|(_, message)| message.place.is_none());
        unplaced.map(|(key, message)| (*key, message))
    }

    /// Messages of earlier sessions that are in memory only.
    pub(super) fn unplaced_earlier(&self) -> u64 {
        let under_way = self.in_flight.iter().map(|(key, sent)| (key, &sent.message));
        let all = self.waiting.iter().chain(under_way);
        let earlier = all.filter(|(key, message)| key.0 != self.session && message.place.is_none());
        earlier.count() as u64
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

    /// Whether all that waits is on disk too.
    pub(super) fn is_on_disk(&self) -> bool {
        self.waiting.values().all(|message| message.place.is_some())
    }

    pub(super) fn depth(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    /// What it did, and what is in memory.
    pub(super) fn figures(&self) -> KindFigures {
        KindFigures {
            waiting: self.waiting.len() as u64,
            in_flight: self.in_flight.len() as u64,
            ..self.figures
        }
    }
}
