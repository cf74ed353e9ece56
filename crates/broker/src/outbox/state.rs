//! Memory and disk together: which messages are in memory, which on disk only, and the books.
//!
//! Promises: every message is in memory, on disk, confirmed, or dropped and counted with its
//! reason, to the session that numbered it. Where the disk cannot be written, memory goes on within
//! its own bounds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{DropReasons, SessionId, UnixMillis};

use super::queue::{Key, KindFigures, Message, Queue};
use super::{Bound, Bounds, HandOverError};
use crate::class::Class;
use crate::spool::{Next, Removed, Spool, SpoolError};

/// Why messages are given up.
#[derive(Clone, Copy)]
pub(super) enum Reason {
    Expired,
    Overflow,
    TooLarge,
    Damaged,
}

#[derive(Debug)]
pub(super) struct State {
    session: SessionId,
    queues: [Queue; Class::COUNT],
    pub(super) spool: Option<Spool>,
    /// Why messages wait in memory only, although there should be a spool.
    pub(super) fault: Option<Arc<str>>,
    /// Something could not be written since the last tidying began.
    failed: bool,
    /// Which kinds the broker takes now.
    flowing: [bool; Class::COUNT],
    pub(super) connected: bool,
    pub(super) last_error: Option<Arc<str>>,
    /// Why a kind is not confirmed now.
    pub(super) troubles: [Option<Arc<str>>; Class::COUNT],
}

/// How much of a kind stays in memory while the broker does not take it, if the rest is on disk.
const fn window(class: Class) -> Bound {
    match class {
        Class::Metric => Bound { messages: 256, bytes: 128 * 1024 },
        Class::Heartbeat => Bound { messages: 4, bytes: 256 * 1024 },
        Class::Monitoring => Bound { messages: 2, bytes: 1024 * 1024 },
        Class::Response => Bound { messages: 8, bytes: 1024 * 1024 },
    }
}

impl State {
    pub(super) fn new(session: SessionId, bounds: &Bounds) -> Self {
        Self {
            session,
            queues: Class::ALL.map(|class| Queue::new(class, bounds, session)),
            spool: None,
            fault: None,
            failed: false,
            flowing: [false; Class::COUNT],
            connected: false,
            last_error: None,
            troubles: Default::default(),
        }
    }

    pub(super) fn troubles(&self) -> Vec<(&'static str, Arc<str>)> {
        let each = Class::ALL.into_iter().zip(&self.troubles);
        each.filter_map(|(class, reason)| Some((class.name(), reason.clone()?))).collect()
    }

    /// From now on messages are kept on disk, for no longer than `max_age`.
    pub(super) fn adopt(&mut self, spool: Spool, max_age: Duration) {
        for queue in &mut self.queues {
            queue.life = Some(queue.life.map_or(max_age, |life| life.min(max_age)));
        }
        if spool.set_aside > 0 {
            let kept = spool.set_aside;
            let told = format!(
                "{kept} damaged file(s) of the spool are kept in {}; check the disk, and remove \
                 them",
                spool.dir().display()
            );
            self.last_error = Some(told.into());
        }
        self.spool = Some(spool);
        self.note_fault(None);
    }

    pub(super) const fn queue(&mut self, class: Class) -> &mut Queue {
        &mut self.queues[class as usize]
    }

    pub(super) fn in_flight(&self) -> usize {
        self.queues.iter().map(Queue::in_flight).sum()
    }

    pub(super) fn in_memory(&self) -> usize {
        self.queues.iter().map(Queue::depth).sum()
    }

    /// Whether a kill would cost nothing now.
    pub(super) fn is_on_disk(&self) -> bool {
        self.spool.is_some() && self.queues.iter().all(Queue::is_on_disk)
    }

    pub(super) fn backlog(&self, class: Class) -> u64 {
        self.spool.as_ref().map_or(0, |spool| spool.backlog(class))
    }

    /// Whether the broker takes this kind now; while it does, memory alone suffices.
    pub(super) fn note_flow(&mut self, class: Class, flows: bool) {
        self.flowing[class as usize] = flows;
    }

    /// Numbers a message and keeps it, on disk if that can be.
    pub(super) fn take_in(
        &mut self,
        class: Class,
        mut message: Message,
    ) -> Result<u64, HandOverError> {
        self.drop_expired(class, message.handed);
        let number = self.queue(class).figures.handed + 1;
        self.write_down(number, class, &mut message);
        if message.place.is_none() {
            self.make_room_in_memory(class, message.payload.len())?;
        }
        let number = self.queue(class).insert(message);
        self.release_beyond_window(class);
        self.note_books(class);
        Ok(number)
    }

    /// Writes a message to disk, if there is a spool and it has room.
    fn write_down(&mut self, number: u64, class: Class, message: &mut Message) {
        let Some(spool) = &mut self.spool else { return };
        let record = message.to_record(number, spool.at(message.handed));
        // Ends: each time a file goes.
        while let Some(removed) = self.spool.as_mut().and_then(|s| s.make_room(class, &record)) {
            self.count_removed(&removed, Reason::Overflow);
        }
        let Some(spool) = &mut self.spool else { return };
        match spool.append(class, &record) {
            Ok(place) => message.place = Some(place),
            Err(error) => self.note_fault(Some(&error)),
        }
    }

    fn make_room_in_memory(&mut self, class: Class, size: usize) -> Result<(), HandOverError> {
        while !self.queue(class).has_room(size) {
            const NOTHING: Bound = Bound { messages: 0, bytes: 0 };
            if let Some(place) = self.queue(class).pop_beyond(NOTHING) {
                if let Some(spool) = &mut self.spool {
                    spool.release(class, place);
                }
                continue;
            }
            let oldest = if class.drops_oldest() { self.queue(class).pop_oldest() } else { None };
            let Some((key, _)) = oldest else { return Err(self.queue(class).full()) };
            self.count_dropped(key.0, class, Reason::Overflow, 1);
        }
        Ok(())
    }

    /// What the broker does not take now need not fill memory.
    pub(super) fn release_beyond_window(&mut self, class: Class) {
        let flows = self.flowing[class as usize];
        let queue = &mut self.queues[class as usize];
        let window = if flows { queue.bound } else { window(class) };
        let Some(spool) = &mut self.spool else { return };
        while let Some(place) = queue.pop_beyond(window) {
            spool.release(class, place);
        }
    }

    /// The oldest message that is on disk only; it is under way from now on.
    ///
    /// # Errors
    /// The disk cannot be read now.
    pub(super) fn send_from_disk(
        &mut self,
        class: Class,
        now: Instant,
        answer_within: Duration,
    ) -> Result<Option<(Key, Message)>, SpoolError> {
        loop {
            let Some(spool) = &mut self.spool else { return Ok(None) };
            let (session, place, record) = match spool.next(class)? {
                Next::Message(session, place, record) => (session, place, record),
                Next::Damaged(session, count) => {
                    let told = format!("{count} {} message(s) on disk are damaged", class.name());
                    self.last_error = Some(told.into());
                    self.count_dropped(session, class, Reason::Damaged, count);
                    continue;
                }
                Next::Nothing => return Ok(None),
            };
            let age = spool.age(record.kept_at);
            if self.queues[class as usize].life.is_some_and(|life| age > life) {
                spool.settle(class, place);
                self.count_dropped(session, class, Reason::Expired, 1);
                continue;
            }
            let message = Message {
                kind: record.kind,
                at: record.at,
                payload: record.payload,
                // A machine that runs for less long than this: then it ages from now on.
                handed: now.checked_sub(age).unwrap_or(now),
                attempts: 0,
                place: Some(place),
                origin: None,
            };
            let key = (session, record.number);
            let message = self.queue(class).send(key, message, now, answer_within);
            return Ok(Some((key, message)));
        }
    }

    /// The stream has it.
    pub(super) fn confirm(&mut self, class: Class, key: Key) -> bool {
        let Some(message) = self.queue(class).confirm(key) else { return false };
        self.settle(class, &message);
        if class == Class::Heartbeat
            && key.0 == self.session
            && let Some(spool) = &mut self.spool
        {
            spool.sessions.heartbeat_confirmed(key.1);
        }
        true
    }

    /// The broker can never take it.
    pub(super) fn drop_too_large(&mut self, class: Class, key: Key) {
        if let Some(message) = self.queue(class).remove(key) {
            self.settle(class, &message);
            self.count_dropped(key.0, class, Reason::TooLarge, 1);
        }
    }

    /// What waits in memory and has outlived its use.
    pub(super) fn drop_expired(&mut self, class: Class, now: Instant) {
        while let Some((key, message)) = self.queue(class).pop_expired(now) {
            self.settle(class, &message);
            self.count_dropped(key.0, class, Reason::Expired, 1);
        }
    }

    fn settle(&mut self, class: Class, message: &Message) {
        if let (Some(spool), Some(place)) = (&mut self.spool, message.place) {
            spool.settle(class, place);
        }
    }

    fn count_removed(&mut self, removed: &Removed, reason: Reason) {
        self.count_dropped(removed.session, removed.class, reason, removed.lost);
        self.queue(removed.class).forget_segment(removed.segment);
    }

    fn count_dropped(&mut self, session: SessionId, class: Class, reason: Reason, count: u64) {
        if session == self.session {
            let dropped = &mut self.queue(class).figures.dropped;
            *reason.count_mut(dropped) += count;
            self.note_books(class);
        } else if let Some(spool) = &mut self.spool {
            spool.sessions.note_dropped(session, class, count);
        }
    }

    fn note_books(&mut self, class: Class) {
        let figures = self.queues[class as usize].figures;
        if let Some(spool) = &mut self.spool {
            spool.note(class, figures.handed, figures.dropped.total());
        }
    }

    /// What is wrong with the spool, or nothing; logged when it changes.
    pub(super) fn note_fault(&mut self, fault: Option<&SpoolError>) {
        self.failed |= fault.is_some();
        let fault: Option<Arc<str>> = fault.map(|error| error.to_string().into());
        if self.fault == fault {
            return;
        }
        match &fault {
            Some(reason) => {
                tracing::warn!(%reason, "the spool cannot be used: messages wait in memory only");
            }
            None if self.fault.is_some() => tracing::info!("the spool can be used again"),
            None => {}
        }
        self.fault = fault;
    }

    /// What has to be done now and then: old messages go, what is in memory only is written where
    /// it could not be before, and how far all is settled is noted.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.failed = false;
        for class in Class::ALL {
            self.drop_expired(class, now);
            self.release_beyond_window(class);
            self.write_down_late(class);
            let life = self.queue(class).life;
            let Some(spool) = &mut self.spool else { continue };
            let life_ms =
                life.map_or(i64::MAX, |life| i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
            let before = UnixMillis::new(spool.at(now).get().saturating_sub(life_ms));
            let mut removed = Vec::new();
            while let Some(one) = spool.drop_older(class, before) {
                removed.push(one);
            }
            spool.note_settled(class, self.queues[class as usize].places());
            for one in &removed {
                self.count_removed(one, Reason::Expired);
            }
        }
        let Some(spool) = &mut self.spool else { return };
        if let Err(error) = spool.save_sessions() {
            self.note_fault(Some(&error));
        }
        // Not at the first small message that fits, while larger ones do not.
        if !self.failed {
            self.note_fault(None);
        }
    }

    /// What was handed over while the disk could not be written.
    fn write_down_late(&mut self, class: Class) {
        let Self { session, queues, spool: Some(spool), .. } = self else { return };
        let mut result = Ok(());
        for (key, message) in queues[class as usize].unplaced_mut() {
            // An earlier session's was on disk once and gave way.
            if key.0 != *session {
                continue;
            }
            let record = message.to_record(key.1, spool.at(message.handed));
            result = spool.append(class, &record).map(|place| message.place = Some(place));
            if result.is_err() {
                break;
            }
        }
        if let Err(error) = result {
            self.note_fault(Some(&error));
        }
    }

    /// What one kind did and holds.
    pub(super) fn figures(&self, class: Class) -> KindFigures {
        let queue = &self.queues[class as usize];
        let mut figures = queue.figures();
        if let Some(spool) = &self.spool {
            figures.on_disk = spool.backlog(class);
            figures.earlier = spool.pending_of_others(class, self.session);
        }
        figures.earlier += queue.unplaced_earlier();
        figures
    }
}

impl Reason {
    const fn count_mut(self, dropped: &mut DropReasons) -> &mut u64 {
        match self {
            Self::Expired => &mut dropped.expired,
            Self::Overflow => &mut dropped.overflow,
            Self::TooLarge => &mut dropped.too_large,
            Self::Damaged => &mut dropped.damaged,
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
