//! What the journal knows, in memory: a few bytes a command; texts and results stay on disk.

use std::collections::HashMap;

use protocol::{Command, CommandId, UnixMillis};

use super::Left;
use super::file::Place;
use super::record::Line;

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It came, and is not begun.
    Waiting,
    /// It is begun.
    Running,
    /// It ended; `told`: which was handed over to be told.
    Ended { told: bool },
    /// It did not come yet, and must not run if it does.
    CancelledAhead,
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// In which order they came.
    turn: u64,
    pub(super) digest: (u32, u32),
    pub(super) expires: UnixMillis,
    pub(super) stage: Stage,
    /// Where its text is, as long as it waits.
    pub(super) text: Option<Place>,
    /// Where its end is, as long as that is kept.
    pub(super) event: Option<Place>,
}

#[derive(Debug)]
pub(super) struct Book {
    entries: HashMap<CommandId, Entry>,
    turns: u64,
    expires_until: UnixMillis,
    created_until: UnixMillis,
}

/// About what a note without text or event takes in the file, in bytes.
const SMALL_NOTES_BYTES: u64 = 384;

impl Default for Book {
    fn default() -> Self {
        let never = UnixMillis::new(i64::MIN);
        Self { entries: HashMap::new(), turns: 0, expires_until: never, created_until: never }
    }
}

impl Book {
    /// Takes over what a note at `place` says. A note of an unknown id says nothing.
    pub(super) fn apply(&mut self, line: &Line, place: Place) {
        match line {
            Line::Taken { id, digest, expires, signed } => {
                let text = signed.as_ref().map(|_| place);
                self.enter(*id, *digest, *expires, Stage::Waiting, text);
            }
            Line::CancelAhead { id, expires } => {
                self.enter(*id, (0, 0), *expires, Stage::CancelledAhead, None);
            }
            Line::Started { id } => self.change(*id, |entry| {
                (entry.stage, entry.text) = (Stage::Running, None);
            }),
            Line::Ended { id, event } => self.change(*id, |entry| {
                (entry.stage, entry.text) = (Stage::Ended { told: false }, None);
                entry.event = event.as_ref().map(|_| place);
            }),
            Line::Told { id } => {
                self.change(*id, |entry| entry.stage = Stage::Ended { told: true });
            }
            Line::Horizon { expires_until } => {
                self.expires_until = self.expires_until.max(*expires_until);
            }
            Line::Distrust { created_until } => {
                self.created_until = self.created_until.max(*created_until);
            }
        }
    }

    fn enter(
        &mut self,
        id: CommandId,
        digest: (u32, u32),
        expires: UnixMillis,
        stage: Stage,
        text: Option<Place>,
    ) {
        self.turns += 1;
        let entry = Entry { turn: self.turns, digest, expires, stage, text, event: None };
        self.entries.insert(id, entry);
    }

    fn change(&mut self, id: CommandId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.entries.get_mut(&id) {
            change(entry);
        }
    }

    pub(super) fn get(&self, id: CommandId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Why a command that is not known may have been, if so.
    pub(super) fn forgotten(&self, command: &Command) -> Option<&'static str> {
        if command.expires <= self.expires_until {
            return Some("it expired before others that this device has forgotten since");
        }
        if command.created <= self.created_until {
            return Some("this device's journal was damaged after it was made; send a new one");
        }
        None
    }

    /// What is to be written down of what is forgotten.
    pub(super) fn horizons(&self) -> Vec<Line> {
        let never = UnixMillis::new(i64::MIN);
        let (expires_until, created_until) = (self.expires_until, self.created_until);
        let mut lines = Vec::new();
        if expires_until > never {
            lines.push(Line::Horizon { expires_until });
        }
        if created_until > never {
            lines.push(Line::Distrust { created_until });
        }
        lines
    }

    /// Forgets commands that ended and expired before `before`.
    pub(super) fn forget_expired_before(&mut self, before: UnixMillis) {
        let mut horizon = self.expires_until;
        self.entries.retain(|_, entry| {
            let done = matches!(entry.stage, Stage::Ended { .. } | Stage::CancelledAhead);
            let kept = !done || entry.expires >= before;
            if !kept && entry.stage != Stage::CancelledAhead {
                horizon = horizon.max(entry.expires);
            }
            kept
        });
        self.expires_until = horizon;
    }

    /// Forgets how the oldest ended whose ends take more than `bytes` together.
    pub(super) fn forget_events_beyond(&mut self, bytes: u64) {
        let kept: u64 = self.entries.values().filter_map(|entry| entry.event).map(bytes_of).sum();
        let Some(mut surplus) = kept.checked_sub(bytes).filter(|surplus| *surplus > 0) else {
            return;
        };
        let mut oldest: Vec<(u64, CommandId)> = Vec::new();
        for (id, entry) in &self.entries {
            if entry.event.is_some() {
                oldest.push((entry.turn, *id));
            }
        }
        oldest.sort_unstable();
        for (_, id) in oldest {
            if surplus == 0 {
                return;
            }
            let event = self.entries.get_mut(&id).and_then(|entry| entry.event.take());
            surplus = surplus.saturating_sub(event.map_or(0, bytes_of));
        }
    }

    /// Bytes of commands that wait.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.entries.values().filter_map(|entry| entry.text).map(bytes_of).sum()
    }

    /// About what the file would have if it were written anew.
    pub(super) fn live_bytes(&self) -> u64 {
        let large = self.entries.values().flat_map(|entry| [entry.text, entry.event]);
        let large: u64 = large.flatten().map(bytes_of).sum();
        large + self.entries.len() as u64 * SMALL_NOTES_BYTES
    }

    /// Every command, in the order in which they came.
    pub(super) fn in_order(&self) -> Vec<(CommandId, Entry)> {
        let mut all: Vec<(CommandId, Entry)> =
            self.entries.iter().map(|(id, entry)| (*id, *entry)).collect();
        all.sort_unstable_by_key(|(_, entry)| entry.turn);
        all
    }

    /// What an earlier run left.
    pub(super) fn left(&self) -> Left {
        let mut left = Left::default();
        for (id, entry) in self.in_order() {
            match entry.stage {
                Stage::Waiting if entry.text.is_some() => left.waiting.push(id),
                // It was cancelled ahead, and the kill came before that was noted as its end.
                Stage::Waiting | Stage::Running => left.interrupted.push(id),
                Stage::Ended { told: false } => left.untold.push(id),
                Stage::Ended { told: true } | Stage::CancelledAhead => {}
            }
        }
        left
    }
}

const fn bytes_of(place: Place) -> u64 {
    place.bytes as u64
}
