//! The device's memory of commands: what it was given, what it began, what came of it.
//!
//! ```text
//! commands.log     records in the order in which they were made; see `record.rs`
//! lock             held by the process that uses the folder
//! ```
//! Promises: what a call noted is there after the process is killed at any instant, and with
//! [`JournalSettings::sync`] after a power loss too. An id is known until its command has expired
//! and [`KEPT_AFTER_EXPIRY_MS`] more; what is forgotten then is refused by its expiry for ever, so
//! that a clock that is set back lets nothing run again. Ids, bytes and results are bounded: where a
//! command finds no room it is not taken, and waits in its stream. A damaged journal lets nothing
//! run that was made before the damage was seen, for whether it ran is not known.
//!
//! Refuses: a folder that another process uses.

mod book;
mod file;
mod record;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::command::CommandEvent;
use protocol::{Command, CommandId, UnixMillis};

use crate::spool::{folder_lock, make_folder};
pub(crate) use book::Stage;
use book::{Book, Entry};
use file::LogFile;
use record::Line;

/// How long an id is known beyond its command's expiry, in milliseconds (an hour).
const KEPT_AFTER_EXPIRY_MS: i64 = 3_600_000;
/// Most ids that are known at one time.
const IDS_MAX: usize = 10_000;
/// Most bytes of commands that wait, and of results, each.
const BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The file is written anew when it is larger than this and half of it is of no more use, in bytes.
const REWRITE_AT_BYTES: u64 = 256 * 1024;
const LOG: &str = "commands.log";

/// Where a journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// Its folder.
    pub dir: PathBuf,
    /// Whether what is noted outlives a power loss, which costs a disk write each time.
    pub sync: bool,
}

/// The journal cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("{action} {}: {problem}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// As much is kept as may be.
    #[error(
        "the journal holds {ids} ids and {bytes} bytes of commands that wait; there is room when \
         some have ended and expired"
    )]
    Full {
        /// How many ids it has.
        ids: usize,
        /// How many bytes of commands wait.
        bytes: u64,
    },
}

/// Proof that the journal holds a command, or that nothing of it needs to be held; only the journal
/// and the refusal of a message make one. A message is acknowledged in exchange for it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Noted(pub(super) ());

/// What the journal says of a command that came.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is new, and waits from now on.
    New(Noted),
    /// It is known with the same content.
    Known(Noted, Stage),
    /// Its id is known with other content.
    OtherContent(Noted),
    /// It was cancelled before it came; it is known from now on.
    CancelledAhead(Noted),
    /// It may have run, and that is forgotten; the text says why.
    Forgotten(Noted, &'static str),
}

/// What an earlier run left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Never begun, in the order in which they came.
    pub(crate) waiting: Vec<CommandId>,
    /// Begun, and no end is known.
    pub(crate) interrupted: Vec<CommandId>,
    /// Ended, and that was perhaps not told.
    pub(crate) untold: Vec<CommandId>,
}

/// A journal; cheap to clone. Its calls write to disk, and may block for as long as that takes.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    inner: Arc<Mutex<Inner>>,
    path: PathBuf,
    _lock: Arc<File>,
}

#[derive(Debug)]
struct Inner {
    book: Book,
    file: LogFile,
}

impl Journal {
    /// Opens a folder, and makes it if need be.
    ///
    /// # Errors
    /// The folder cannot be read or written, or another process uses it.
    pub(crate) fn open(
        settings: &JournalSettings,
        now: UnixMillis,
    ) -> Result<(Self, Left), JournalError> {
        let dir = &settings.dir;
        make_folder(dir).map_err(|error| failed("cannot make", dir, &error))?;
        let lock = folder_lock(dir).map_err(|error| JournalError::Io {
            action: "cannot use",
            path: dir.clone(),
            problem: error.to_string(),
        })?;
        let path = dir.join(LOG);
        let mut book = Book::default();
        let opened = LogFile::open(&path, settings.sync, |line, place| book.apply(line, place));
        let (file, damaged) = opened.map_err(|error| failed("cannot read", &path, &error))?;
        let left = book.left();
        let journal =
            Self { inner: Arc::new(Mutex::new(Inner { book, file })), path, _lock: Arc::new(lock) };
        if damaged {
            tracing::error!(
                file = %journal.path.display(),
                "the journal of commands is damaged: what was made before now is refused"
            );
            journal.write(&Line::Distrust { created_until: now })?;
        }
        Ok((journal, left))
    }

    /// Takes a command whose signature was checked; `signed` is its text.
    ///
    /// # Errors
    /// There is no room, or it could not be written: it must not be acknowledged.
    pub(crate) fn take(
        &self,
        command: &Command,
        signed: &str,
        now: UnixMillis,
    ) -> Result<Taken, JournalError> {
        let mut inner = self.lock();
        let id = command.command_id;
        let digest = record::digest(signed);
        let mut cancelled = false;
        if let Some(entry) = inner.book.get(id) {
            if entry.stage != Stage::CancelledAhead {
                return Ok(match entry.digest == digest {
                    true => Taken::Known(Noted(()), entry.stage),
                    false => Taken::OtherContent(Noted(())),
                });
            }
            cancelled = true;
        }
        if let Some(why) = inner.book.forgotten(command) {
            return Ok(Taken::Forgotten(Noted(()), why));
        }
        self.make_room(&mut inner, signed.len(), now)?;
        let line = Line::Taken {
            id,
            digest,
            expires: command.expires,
            signed: (!cancelled).then(|| signed.to_owned()),
        };
        self.note(&mut inner, &line)?;
        Ok(if cancelled { Taken::CancelledAhead(Noted(())) } else { Taken::New(Noted(())) })
    }

    /// The text of a command that waits.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn text(&self, id: CommandId) -> Result<Option<String>, JournalError> {
        let inner = self.lock();
        let Some(place) = inner.book.get(id).and_then(|entry| entry.text) else { return Ok(None) };
        match self.read(&inner, place)? {
            Line::Taken { signed, .. } => Ok(signed),
            _ => Ok(None),
        }
    }

    /// It is begun from now on; after a crash it counts as interrupted.
    ///
    /// # Errors
    /// It could not be written: it must not run.
    pub(crate) fn start(&self, id: CommandId) -> Result<(), JournalError> {
        self.write(&Line::Started { id })
    }

    /// It ended with this event, which is the answer to every repetition.
    ///
    /// # Errors
    /// It could not be written: after a restart it counts as interrupted.
    pub(crate) fn end(&self, event: &CommandEvent) -> Result<(), JournalError> {
        self.write(&Line::Ended { id: event.command_id, event: Some(Box::new(event.clone())) })
    }

    /// Its end was handed over to be told.
    ///
    /// # Errors
    /// It could not be written: it is told again after a restart.
    pub(crate) fn told(&self, id: CommandId) -> Result<(), JournalError> {
        let mut inner = self.lock();
        // Not synced: a repetition has no effect.
        let place = inner.file.append(&Line::Told { id }, false);
        let place = place.map_err(|error| failed("cannot write", &self.path, &error))?;
        inner.book.apply(&Line::Told { id }, place);
        Ok(())
    }

    /// How far a command is; `None`: it is not known.
    pub(crate) fn stage(&self, id: CommandId) -> Option<Stage> {
        self.lock().book.get(id).map(|entry| entry.stage)
    }

    /// How it ended, where that is kept.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn event(&self, id: CommandId) -> Result<Option<CommandEvent>, JournalError> {
        let inner = self.lock();
        let Some(place) = inner.book.get(id).and_then(|entry| entry.event) else { return Ok(None) };
        match self.read(&inner, place)? {
            Line::Ended { event, .. } => Ok(event.map(|event| *event)),
            _ => Ok(None),
        }
    }

    /// A command that did not come yet must not run if it comes; it is known until `expires`.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn cancel_ahead(
        &self,
        id: CommandId,
        expires: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), JournalError> {
        let mut inner = self.lock();
        if inner.book.get(id).is_some() {
            return Ok(());
        }
        self.make_room(&mut inner, 0, now)?;
        self.note(&mut inner, &Line::CancelAhead { id, expires })
    }

    fn write(&self, line: &Line) -> Result<(), JournalError> {
        self.note(&mut self.lock(), line)
    }

    fn note(&self, inner: &mut Inner, line: &Line) -> Result<(), JournalError> {
        let place = inner.file.append(line, true);
        let place = place.map_err(|error| failed("cannot write", &self.path, &error))?;
        inner.book.apply(line, place);
        Ok(())
    }

    fn read(&self, inner: &Inner, place: file::Place) -> Result<Line, JournalError> {
        inner.file.read(place).map_err(|error| failed("cannot read", &self.path, &error))
    }

    /// Forgets what has long expired, and writes the file anew where much of it is of no more use.
    fn make_room(
        &self,
        inner: &mut Inner,
        bytes: usize,
        now: UnixMillis,
    ) -> Result<(), JournalError> {
        let Inner { book, file } = inner;
        let before = UnixMillis::new(now.get().saturating_sub(KEPT_AFTER_EXPIRY_MS));
        book.forget_expired_before(before);
        book.forget_events_beyond(BYTES_MAX);
        if file.bytes() > REWRITE_AT_BYTES && file.bytes() / 2 > book.live_bytes() {
            let rewritten = self.rewrite(book, file);
            rewritten.map_err(|error| failed("cannot write anew", &self.path, &error))?;
        }
        let waiting = book.waiting_bytes();
        if book.len() >= IDS_MAX || waiting + bytes as u64 > BYTES_MAX {
            return Err(JournalError::Full { ids: book.len(), bytes: waiting });
        }
        Ok(())
    }

    fn rewrite(&self, book: &mut Book, file: &mut LogFile) -> io::Result<()> {
        let mut kept = Book::default();
        let mut new = file.beside()?;
        for line in book.horizons() {
            let place = new.append(&line, false)?;
            kept.apply(&line, place);
        }
        for (id, entry) in book.in_order() {
            for line in entry_lines(file, id, &entry)? {
                let place = new.append(&line, false)?;
                kept.apply(&line, place);
            }
        }
        new.replace(file)?;
        *book = kept;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry as it is written again.
fn entry_lines(file: &LogFile, id: CommandId, entry: &Entry) -> io::Result<Vec<Line>> {
    let Entry { digest, expires, stage, text, event, .. } = *entry;
    if stage == Stage::CancelledAhead {
        return Ok(vec![Line::CancelAhead { id, expires }]);
    }
    let text = if stage == Stage::Waiting { text } else { None };
    let signed = match text.map(|place| file.read(place)).transpose()? {
        Some(Line::Taken { signed, .. }) => signed,
        _ => None,
    };
    let mut lines = vec![Line::Taken { id, digest, expires, signed }];
    match stage {
        Stage::Waiting | Stage::CancelledAhead => {}
        Stage::Running => lines.push(Line::Started { id }),
        Stage::Ended { told } => {
            let read = event.map(|place| file.read(place)).transpose()?;
            lines.push(read.unwrap_or(Line::Ended { id, event: None }));
            if told {
                lines.push(Line::Told { id });
            }
        }
    }
    Ok(lines)
}

fn failed(action: &'static str, path: &Path, error: &io::Error) -> JournalError {
    JournalError::Io { action, path: path.to_owned(), problem: error.to_string() }
}

#[cfg(test)]
mod tests;
