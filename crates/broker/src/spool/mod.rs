//! What waits for the broker, on disk: what a kill or a long outage must not cost.
//!
//! Promises: a message that was appended is there after the process is killed at any instant, in
//! order and byte for byte, until it is settled. Bytes and age are bounded; the oldest metrics make
//! room first, then heartbeats, then monitoring reports, responses never. A damaged file costs the
//! records that are damaged, is set aside and counted.
//!
//! Refuses: a folder that another process uses, and messages of another device.
//!
//! `log.rs` is one kind's row of files, `segment.rs` one file, `record.rs` one message; `folder.rs`
//! finds them after a restart.

mod folder;
mod log;
mod record;
mod segment;
mod sessions;
mod survey;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{KindCounts, SessionId, UnixMillis};

use crate::class::Class;
pub(crate) use folder::{lock as folder_lock, make as make_folder, set_aside};
use log::Log;
pub(crate) use log::Next;
pub(crate) use record::Record;
pub(crate) use segment::Place;
use segment::{Found, HEAD_BYTES};
use sessions::{Sessions, count_mut};

/// What a spool is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Its folder; each device has its own inside.
    pub dir: PathBuf,
    /// How much it may hold.
    pub max_bytes: u64,
    /// How long a message is kept.
    pub max_age: Duration,
    /// How fast it is emptied.
    pub messages_per_s: u32,
}

/// The spool cannot be used now.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {problem}", path.display())]
pub(crate) struct SpoolError {
    action: &'static str,
    path: PathBuf,
    problem: String,
}

/// A file that was given up to make room or for its age.
pub(crate) struct Removed {
    pub(crate) class: Class,
    pub(crate) segment: u64,
    pub(crate) session: SessionId,
    /// Messages that were on disk only.
    pub(crate) lost: u64,
}

#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    /// Held as long as this lives.
    _lock: File,
    logs: [Log; Class::COUNT],
    pub(crate) sessions: Sessions,
    /// Damaged files that are kept in the folder.
    pub(crate) set_aside: usize,
    max_bytes: u64,
    opened: Instant,
    opened_at: UnixMillis,
}

impl Spool {
    /// Opens the folder of one device, and makes it if need be. Messages that can no longer be read
    /// are counted to their session.
    ///
    /// # Errors
    /// The folder cannot be read or written, or another process uses it.
    pub(crate) fn open(dir: &Path, max_bytes: u64, session: SessionId) -> Result<Self, SpoolError> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| SpoolError { action, path, problem: error.to_string() }
        };
        folder::make(dir).map_err(failed("cannot make", dir))?;
        let lock = folder::lock(dir)?;
        let mut sessions = Sessions::load(dir).map_err(failed("cannot read", dir))?;
        let mut found: [Vec<Found>; Class::COUNT] = Default::default();
        for class in Class::ALL {
            found[class as usize] = folder::find(dir, class)?;
        }
        let known: Vec<SessionId> = found
            .iter()
            .flatten()
            .map(|found| found.segment.session)
            .filter(|session| sessions.knows(*session))
            .collect();
        let logs = Class::ALL.map(|class| {
            let found = std::mem::take(&mut found[class as usize]);
            let mut dropped: BTreeMap<SessionId, u64> = BTreeMap::new();
            let mut segments = BTreeMap::new();
            for found in found {
                let session = found.segment.session;
                sessions.note_sent(session, class, found.highest);
                sessions.note_dropped(session, class, found.damaged);
                if !known.contains(&session) {
                    let dropped = dropped.entry(session).or_default();
                    *dropped = found.segment.account.dropped.max(*dropped);
                }
                segments.insert(found.segment.id, found.segment);
            }
            for (session, dropped) in dropped {
                sessions.note_dropped(session, class, dropped);
            }
            Log::new(class, dir, session, segments)
        });
        // Before the files that say it go.
        sessions.save().map_err(failed("cannot write into", dir))?;
        let set_aside = folder::set_aside(dir).map_err(failed("cannot read", dir))?.len();
        let (opened, opened_at) = (Instant::now(), UnixMillis::now());
        let mut spool = Self {
            dir: dir.to_owned(),
            _lock: lock,
            logs,
            sessions,
            set_aside,
            max_bytes,
            opened,
            opened_at,
        };
        for log in &mut spool.logs {
            log.remove_settled();
        }
        Ok(spool)
    }

    /// `when` as a time that can be written down, by a clock that nobody sets while this process
    /// runs.
    pub(crate) fn at(&self, when: Instant) -> UnixMillis {
        let since = when.saturating_duration_since(self.opened).as_millis();
        let before = self.opened.saturating_duration_since(when).as_millis();
        let millis = |span: u128| i64::try_from(span).unwrap_or(i64::MAX);
        let at = self.opened_at.get().saturating_add(millis(since));
        UnixMillis::new(at.saturating_sub(millis(before)))
    }

    /// How long ago that was; nothing where the clock went back meanwhile.
    pub(crate) fn age(&self, kept_at: UnixMillis) -> Duration {
        let since = self.at(Instant::now()).since(kept_at);
        Duration::from_millis(u64::try_from(since).unwrap_or(0))
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.logs.iter().map(Log::bytes).sum()
    }

    /// Messages of this kind that are on disk only.
    pub(crate) fn backlog(&self, class: Class) -> u64 {
        self.log(class).backlog()
    }

    /// What each session has that is neither confirmed nor given up.
    pub(crate) fn pending(&self) -> BTreeMap<SessionId, KindCounts> {
        let mut pending: BTreeMap<SessionId, KindCounts> = BTreeMap::new();
        for class in Class::ALL {
            for (session, count) in self.log(class).pending() {
                *count_mut(pending.entry(session).or_default(), class) += count;
            }
        }
        pending
    }

    /// Messages of this kind of other sessions than `own` that are not settled.
    pub(crate) fn pending_of_others(&self, class: Class, own: SessionId) -> u64 {
        let others = self.log(class).pending().filter(|(session, _)| *session != own);
        others.map(|(_, pending)| pending).sum()
    }

    /// Gives up a file so that `record` fits; `None`: it fits, or nothing may go.
    pub(crate) fn make_room(&mut self, class: Class, record: &Record) -> Option<Removed> {
        if self.has_room(record) {
            return None;
        }
        for victim in Class::DROP_ORDER {
            if victim != Class::Response
                && let Some(removed) = self.log_mut(victim).drop_oldest()
            {
                return Some(Removed::new(victim, removed));
            }
            if victim == class {
                return None;
            }
        }
        None
    }

    /// Gives up the oldest file of this kind if all in it is on disk only and from before `before`.
    pub(crate) fn drop_older(&mut self, class: Class, before: UnixMillis) -> Option<Removed> {
        let removed = self.log_mut(class).drop_older(before)?;
        Some(Removed::new(class, removed))
    }

    /// Writes a message that is in memory too.
    ///
    /// # Errors
    /// There is no room for it, or the system refused.
    pub(crate) fn append(&mut self, class: Class, record: &Record) -> Result<Place, SpoolError> {
        let failed =
            |problem| SpoolError { action: "cannot write into", path: self.dir.clone(), problem };
        if !self.has_room(record) {
            return Err(failed(format!("it is full with {} bytes", self.max_bytes)));
        }
        let appended = self.logs[class as usize].append(record);
        appended.map_err(|error| failed(error.to_string()))
    }

    /// This session gave out numbers up to `given` and gave up `dropped`.
    pub(crate) const fn note(&mut self, class: Class, given: u64, dropped: u64) {
        self.log_mut(class).note(given, dropped);
    }

    /// A message is confirmed or given up.
    pub(crate) fn settle(&mut self, class: Class, place: Place) {
        self.log_mut(class).settle(place);
    }

    /// A message leaves memory and is on disk only.
    pub(crate) fn release(&mut self, class: Class, place: Place) {
        self.log_mut(class).release(place);
    }

    /// The oldest message of this kind that is on disk only.
    ///
    /// # Errors
    /// The system does not let it be read now.
    pub(crate) fn next(&mut self, class: Class) -> Result<Next, SpoolError> {
        self.log_mut(class).next().map_err(|error| SpoolError {
            action: "cannot read",
            path: self.dir.clone(),
            problem: error.to_string(),
        })
    }

    /// Notes how far the front file is settled, and the books of earlier sessions. `in_memory` are
    /// the places of this kind's messages in memory.
    pub(crate) fn note_settled(&mut self, class: Class, in_memory: impl Iterator<Item = Place>) {
        self.log_mut(class).note_settled(in_memory);
    }

    /// Writes the books of earlier sessions, where they changed.
    ///
    /// # Errors
    /// The system refused.
    pub(crate) fn save_sessions(&mut self) -> Result<(), SpoolError> {
        self.sessions.save().map_err(|error| SpoolError {
            action: "cannot write into",
            path: self.dir.clone(),
            problem: error.to_string(),
        })
    }

    /// What a power loss would take now; to be synced outside of any lock.
    pub(crate) fn unsynced(&mut self) -> Vec<Arc<File>> {
        let mut files: Vec<Arc<File>> = self.logs.iter_mut().flat_map(Log::unsynced).collect();
        let made_file = self.logs.iter_mut().any(|log| std::mem::take(&mut log.made_file));
        if made_file && !files.is_empty() {
            // A name is on disk once its folder is.
            files.extend(File::open(&self.dir).ok().map(Arc::new));
        }
        files
    }

    /// Why what was written may not outlive a power loss.
    pub(crate) fn not_synced(&self, error: &io::Error) -> SpoolError {
        SpoolError { action: "cannot sync", path: self.dir.clone(), problem: error.to_string() }
    }

    fn has_room(&self, record: &Record) -> bool {
        self.bytes() + record.encoded_bytes() as u64 + HEAD_BYTES <= self.max_bytes
    }

    const fn log(&self, class: Class) -> &Log {
        &self.logs[class as usize]
    }

    const fn log_mut(&mut self, class: Class) -> &mut Log {
        &mut self.logs[class as usize]
    }
}

impl Removed {
    const fn new(class: Class, (segment, session, lost): (u64, SessionId, u64)) -> Self {
        Self { class, segment, session, lost }
    }
}

#[cfg(test)]
mod tests;
