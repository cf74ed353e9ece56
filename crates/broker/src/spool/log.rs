//! The messages of one kind on disk: a row of files, written at the end, read from the front.
//!
//! Promises: in order of handing over; each message is given out once at a time; a file goes when
//! everything in it is settled, which means confirmed or given up. What cannot be read back is
//! counted and stepped over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{SessionId, UnixMillis};

use super::folder::keep_aside;
use super::record::Record;
use super::segment::{Account, HEAD_BYTES, Place, SEGMENT_BYTES, Segment, read_record};
use crate::class::Class;

/// Times that the system may refuse to read a file before it is given up.
const READ_TRIES_MAX: u32 = 8;

/// What the front of a log brought.
#[derive(Debug)]
pub(crate) enum Next {
    /// A message, which is in memory from now on.
    Message(SessionId, Place, Record),
    /// So many messages of a session cannot be read back.
    Damaged(SessionId, u64),
    /// Nothing is on disk only.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Log {
    class: Class,
    dir: PathBuf,
    session: SessionId,
    segments: BTreeMap<u64, Segment>,
    /// The one that is written.
    active: Option<u64>,
    next_id: u64,
    /// Everything before it is in memory or settled.
    cursor: Place,
    reader: Option<(u64, File)>,
    read_failures: u32,
    /// Of this session, as the next file has to say it.
    given: u64,
    dropped: u64,
    /// A file was made since the folder was synced.
    pub(super) made_file: bool,
}

/// The front of everything.
const START: Place = Place { segment: 0, ordinal: 0, offset: HEAD_BYTES };

impl Log {
    pub(super) fn new(
        class: Class,
        dir: &Path,
        session: SessionId,
        segments: BTreeMap<u64, Segment>,
    ) -> Self {
        let next_id = segments.last_key_value().map_or(1, |(id, _)| id + 1);
        Self {
            class,
            dir: dir.to_owned(),
            session,
            segments,
            active: None,
            next_id,
            cursor: START,
            reader: None,
            read_failures: 0,
            given: 0,
            dropped: 0,
            made_file: false,
        }
    }

    /// Name of the file with this id.
    pub(super) fn file_name(class: Class, id: u64) -> String {
        format!("{}-{id:016x}.log", class.name())
    }

    /// The id in a file's name, if it is one of this kind.
    pub(super) fn id_of(class: Class, name: &str) -> Option<u64> {
        let id = name.strip_prefix(class.name())?.strip_prefix('-')?.strip_suffix(".log")?;
        u64::from_str_radix(id, 16).ok().filter(|id| *id > 0 && *id < u64::MAX)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// Messages that are on disk only.
    pub(super) fn backlog(&self) -> u64 {
        self.segments.values().map(|segment| u64::from(segment.backlog())).sum()
    }

    /// Messages of each session that are neither confirmed nor given up.
    pub(super) fn pending(&self) -> impl Iterator<Item = (SessionId, u64)> {
        let of = |segment: &Segment| (segment.session, u64::from(segment.pending()));
        self.segments.values().map(of).filter(|(_, pending)| *pending > 0)
    }

    /// This session's numbers, for whoever opens the log after a kill.
    pub(super) const fn note(&mut self, given: u64, dropped: u64) {
        self.given = given;
        self.dropped = dropped;
    }

    /// Writes a message at the end; it is in memory too.
    pub(super) fn append(&mut self, record: &Record) -> io::Result<Place> {
        let encoded = record.encode();
        let encoded = encoded.ok_or_else(|| io::Error::other("a device does not send this"))?;
        let room = |segment: &Segment| segment.bytes + encoded.len() as u64 <= SEGMENT_BYTES;
        let id = match self.active {
            Some(id) if self.segments.get(&id).is_some_and(room) => id,
            _ => self.begin_segment()?,
        };
        let Some(segment) = self.segments.get_mut(&id) else {
            return Err(io::Error::other("the file that is written is not there"));
        };
        let place = segment.append(&encoded, record.kept_at)?;
        segment.take(place.ordinal);
        Ok(place)
    }

    fn begin_segment(&mut self) -> io::Result<u64> {
        let id = self.next_id;
        let path = self.dir.join(Self::file_name(self.class, id));
        let account = self.account(0);
        let segment = Segment::create(path, id, self.session, account)?;
        self.next_id += 1;
        self.made_file = true;
        self.segments.insert(id, segment);
        let full = self.active.replace(id);
        // Nothing may be left to settle in it.
        if let Some(full) = full {
            self.remove_if_settled(full);
        }
        Ok(id)
    }

    const fn account(&self, settled_bytes: u64) -> Account {
        Account { given: self.given, dropped: self.dropped, settled_bytes }
    }

    /// A message is confirmed or given up.
    pub(super) fn settle(&mut self, place: Place) {
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.settled += 1;
            self.remove_if_settled(place.segment);
        }
    }

    fn remove_if_settled(&mut self, id: u64) {
        let account = self.account(0);
        let Some(segment) = self.segments.get_mut(&id).filter(|segment| segment.pending() == 0)
        else {
            return;
        };
        let is_active = self.active == Some(id);
        if is_active && segment.reset(account).is_ok() {
            if self.cursor.segment == id {
                self.cursor = Place { segment: id, ..START };
            }
            return;
        }
        self.remove(id);
    }

    /// Removes the files in which nothing is left.
    pub(super) fn remove_settled(&mut self) {
        let ids: Vec<u64> = self.segments.keys().copied().collect();
        for id in ids {
            self.remove_if_settled(id);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Segment> {
        let segment = self.segments.remove(&id)?;
        if self.active == Some(id) {
            self.active = None;
        }
        let path = &segment.path;
        let gone = if segment.damaged { keep_aside(path) } else { std::fs::remove_file(path) };
        // If it stays, its messages come once more, under the ids that they had.
        if let Err(error) = gone {
            tracing::warn!(file = %segment.path.display(), %error, "cannot be removed");
        }
        Some(segment)
    }

    /// A message leaves memory and is on disk only.
    pub(super) fn release(&mut self, place: Place) {
        let Some(segment) = self.segments.get_mut(&place.segment) else { return };
        segment.give_back(place.ordinal);
        if (place.segment, place.offset) < (self.cursor.segment, self.cursor.offset) {
            self.cursor = place;
        }
    }

    /// The oldest message that is on disk only.
    ///
    /// # Errors
    /// The system does not let it be read now; the same call may work later.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        loop {
            let Some(segment) = self.segments.range(self.cursor.segment..).next() else {
                return Ok(Next::Nothing);
            };
            let (&id, segment) = segment;
            if id != self.cursor.segment {
                self.cursor = Place { segment: id, ..START };
            }
            if segment.backlog() == 0 || self.cursor.offset >= segment.bytes {
                if self.segments.range(id + 1..).next().is_none() {
                    return Ok(Next::Nothing);
                }
                self.cursor = Place { segment: id + 1, ..START };
                continue;
            }
            let session = segment.session;
            let Some((record, next_offset)) = self.read(id)? else {
                return Ok(Next::Damaged(session, self.give_up_rest(id)));
            };
            let place = self.cursor;
            self.cursor.ordinal += 1;
            self.cursor.offset = next_offset;
            let Some(segment) = self.segments.get_mut(&id) else { continue };
            if !segment.is_taken(place.ordinal) {
                segment.take(place.ordinal);
                return Ok(Next::Message(session, place, record));
            }
        }
    }

    fn read(&mut self, id: u64) -> io::Result<Option<(Record, u64)>> {
        let Some(segment) = self.segments.get(&id) else { return Ok(None) };
        let opened = match self.reader.take() {
            Some((open, file)) if open == id => Ok(file),
            _ => File::open(&segment.path),
        };
        let read = opened.and_then(|file| {
            let read = read_record(self.class, &file, self.cursor.offset)?;
            self.reader = Some((id, file));
            Ok(read)
        });
        match read {
            Err(error) if !is_gone(&error) && self.read_failures < READ_TRIES_MAX => {
                self.read_failures += 1;
                Err(error)
            }
            Err(_) => {
                self.read_failures = 0;
                Ok(None)
            }
            Ok(read) => {
                self.read_failures = 0;
                Ok(read)
            }
        }
    }

    /// What follows in a file cannot be read.
    fn give_up_rest(&mut self, id: u64) -> u64 {
        let Some(segment) = self.segments.get_mut(&id) else { return 0 };
        let lost = segment.backlog();
        for ordinal in 0..segment.records {
            segment.take(ordinal);
        }
        segment.settled += lost;
        segment.damaged = true;
        // Nothing more is written behind what cannot be read.
        if self.active == Some(id) {
            self.active = None;
        }
        tracing::error!(
            file = %segment.path.display(), lost,
            "damaged: the rest is given up, the file is set aside"
        );
        self.remove_if_settled(id);
        u64::from(lost)
    }

    /// Gives up the oldest file; its session, and how many messages were on disk only.
    pub(super) fn drop_oldest(&mut self) -> Option<(u64, SessionId, u64)> {
        let id = *self.segments.first_key_value()?.0;
        let segment = self.remove(id)?;
        Some((id, segment.session, u64::from(segment.backlog())))
    }

    /// Gives up the oldest file if all in it is on disk only and was handed over before `before`.
    pub(super) fn drop_older(&mut self, before: UnixMillis) -> Option<(u64, SessionId, u64)> {
        let (_, oldest) = self.segments.first_key_value()?;
        let idle = oldest.backlog() > 0 && oldest.backlog() == oldest.pending();
        (idle && oldest.newest < before).then(|| self.drop_oldest())?
    }

    /// Notes in the front file what is settled, so that after a kill it does not come again.
    /// `first_in_memory` is the first of that file that is not settled although it was given out.
    pub(super) fn note_settled(&mut self, in_memory: impl Iterator<Item = Place>) {
        let id = self.cursor.segment;
        let before = in_memory.filter(|place| place.segment == id).map(|place| place.offset).min();
        let settled_bytes = before.map_or(self.cursor.offset, |at| at.min(self.cursor.offset));
        let (given, dropped) = (self.given, self.dropped);
        let Some(segment) = self.segments.get_mut(&id) else { return };
        let account = if segment.session == self.session {
            Account { given, dropped, settled_bytes }
        } else {
            Account { settled_bytes, ..segment.account }
        };
        if let Err(error) = segment.write_account(account) {
            tracing::debug!(%error, "not noted; some messages may come again under their ids");
        }
    }

    /// Files with messages that a power loss would take, to be synced outside of any lock.
    pub(super) fn unsynced(&mut self) -> Vec<Arc<File>> {
        let mut files = Vec::new();
        for segment in self.segments.values_mut() {
            if segment.unsynced && segment.pending() > 0 {
                segment.unsynced = false;
                files.extend(segment.file.clone());
            }
            if !segment.unsynced && self.active != Some(segment.id) {
                segment.file = None;
            }
        }
        files
    }
}

/// The file ends early or is not there: waiting does not help.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}
