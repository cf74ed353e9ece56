//! One file of a log: whose it is, what had been given out, then records.
//!
//! Promises: all records of a file are of one session, in the order of their numbers. Opening finds
//! every whole record, however the file ends and whatever stands between; it never fails for what a
//! file holds, only for what the system refuses.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{SessionId, UnixMillis};

use super::record::{BODY_MAX_BYTES, FRAME_BYTES, Parsed, Record, body_bytes};
use super::survey::{Entry, Survey};
use crate::class::Class;

const MAGIC: [u8; 8] = *b"WEGSPOL1";
/// Magic, session and their checksum: written once.
const IDENTITY_BYTES: usize = 8 + 16 + 4;
/// The account and its checksum: written again in place.
const ACCOUNT_BYTES: usize = 8 + 8 + 8 + 4;
/// Where the first record stands.
pub(super) const HEAD_BYTES: u64 = (IDENTITY_BYTES + ACCOUNT_BYTES) as u64;

/// A file with more than this is begun no further record; one record may go beyond.
pub(super) const SEGMENT_BYTES: u64 = 256 * 1024;
/// Larger files are none of ours.
const FILE_MAX_BYTES: u64 = SEGMENT_BYTES + BODY_MAX_BYTES as u64 + HEAD_BYTES;

/// What a session did in this kind up to a file, for the books after a kill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// The highest number given out.
    pub(super) given: u64,
    /// Messages given up.
    pub(super) dropped: u64,
    /// Everything before this byte is confirmed or given up.
    pub(super) settled_bytes: u64,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) ordinal: u32,
    pub(super) offset: u64,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u64,
    pub(super) session: SessionId,
    pub(super) path: PathBuf,
    /// Bytes that hold whole records, the head included.
    pub(super) bytes: u64,
    /// Whole records.
    pub(super) records: u32,
    /// Records that are confirmed or given up.
    pub(super) settled: u32,
    /// A bit a record: set if it is settled or in memory.
    taken: Vec<u64>,
    /// How many bits are set.
    pub(super) taken_count: u32,
    pub(super) newest: UnixMillis,
    pub(super) account: Account,
    pub(super) unsynced: bool,
    /// Something in it cannot be read.
    pub(super) damaged: bool,
    /// Open while it is written or has to be synced.
    pub(super) file: Option<Arc<File>>,
}

/// A segment of an earlier run, and what was found missing in it.
pub(super) struct Found {
    pub(super) segment: Segment,
    /// The highest number in it, or given out before it.
    pub(super) highest: u64,
    /// Records that could not be read back.
    pub(super) damaged: u64,
    /// What the file should hold instead, if it is damaged.
    pub(super) clean: Option<Vec<u8>>,
}

impl Segment {
    /// Makes a new file.
    pub(super) fn create(
        path: PathBuf,
        id: u64,
        session: SessionId,
        account: Account,
    ) -> io::Result<Self> {
        let file = new_file(&path)?;
        let mut segment = Self::empty(path, id, session, account);
        let written = segment.write_head(&file);
        if let Err(error) = written {
            // As good as never made; the caller's error says why.
            let _ = std::fs::remove_file(&segment.path);
            return Err(error);
        }
        segment.file = Some(Arc::new(file));
        Ok(segment)
    }

    fn empty(path: PathBuf, id: u64, session: SessionId, account: Account) -> Self {
        Self {
            id,
            session,
            path,
            bytes: HEAD_BYTES,
            records: 0,
            settled: 0,
            taken: Vec::new(),
            taken_count: 0,
            newest: UnixMillis::new(0),
            account,
            unsynced: false,
            damaged: false,
            file: None,
        }
    }

    fn write_head(&self, mut file: &File) -> io::Result<()> {
        let mut identity = Vec::with_capacity(IDENTITY_BYTES);
        identity.extend_from_slice(&MAGIC);
        identity.extend_from_slice(&self.session.to_bytes());
        let checksum = crc32fast::hash(&identity);
        identity.extend_from_slice(&checksum.to_le_bytes());
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&identity)?;
        file.write_all(&self.account.encode())
    }

    /// Writes the account in place: it is smaller than what a disk writes at once.
    pub(super) fn write_account(&mut self, account: Account) -> io::Result<()> {
        if self.account == account {
            return Ok(());
        }
        let opened;
        let mut file = match &self.file {
            Some(file) => &**file,
            None => {
                opened = OpenOptions::new().write(true).open(&self.path)?;
                &opened
            }
        };
        file.seek(SeekFrom::Start(IDENTITY_BYTES as u64))?;
        file.write_all(&account.encode())?;
        self.account = account;
        Ok(())
    }

    /// Appends a record, whole or not at all.
    pub(super) fn append(&mut self, encoded: &[u8], kept_at: UnixMillis) -> io::Result<Place> {
        let Some(file) = &self.file else {
            return Err(io::Error::other("the file is not open for writing"));
        };
        let mut writer = &**file;
        let written =
            writer.seek(SeekFrom::Start(self.bytes)).and_then(|_| writer.write_all(encoded));
        if let Err(error) = written {
            // What was begun would be read as torn; if this fails too, it is.
            let _ = file.set_len(self.bytes);
            return Err(error);
        }
        let place = Place { segment: self.id, ordinal: self.records, offset: self.bytes };
        self.bytes += encoded.len() as u64;
        self.records += 1;
        self.newest = self.newest.max(kept_at);
        self.unsynced = true;
        Ok(place)
    }

    /// Begins anew with the same file, once everything in it is settled.
    pub(super) fn reset(&mut self, account: Account) -> io::Result<()> {
        self.write_account(account)?;
        if let Some(file) = &self.file {
            file.set_len(HEAD_BYTES)?;
        }
        self.bytes = HEAD_BYTES;
        (self.records, self.settled, self.taken_count) = (0, 0, 0);
        self.taken.clear();
        self.unsynced = false;
        Ok(())
    }

    /// Records that are on disk only.
    pub(super) const fn backlog(&self) -> u32 {
        self.records - self.taken_count
    }

    /// Records that are neither confirmed nor given up.
    pub(super) const fn pending(&self) -> u32 {
        self.records - self.settled
    }

    pub(super) fn is_taken(&self, ordinal: u32) -> bool {
        let (word, bit) = (ordinal as usize / 64, ordinal % 64);
        self.taken.get(word).is_some_and(|word| word & (1 << bit) != 0)
    }

    /// It is in memory or settled.
    pub(super) fn take(&mut self, ordinal: u32) {
        if self.is_taken(ordinal) {
            return;
        }
        let (word, bit) = (ordinal as usize / 64, ordinal % 64);
        if self.taken.len() <= word {
            self.taken.resize(word + 1, 0);
        }
        self.taken[word] |= 1 << bit;
        self.taken_count += 1;
    }

    /// It is on disk only again.
    pub(super) fn give_back(&mut self, ordinal: u32) {
        if self.is_taken(ordinal) {
            self.taken[ordinal as usize / 64] &= !(1 << (ordinal % 64));
            self.taken_count -= 1;
        }
    }

    /// Finds the records of a file; `None` if it is none of ours.
    pub(super) fn open(class: Class, path: &Path, id: u64) -> io::Result<Option<Found>> {
        if std::fs::metadata(path)?.len() > FILE_MAX_BYTES {
            return Ok(None);
        }
        let bytes = std::fs::read(path)?;
        let Some((identity, rest)) = bytes.split_at_checked(IDENTITY_BYTES) else {
            return Ok(None);
        };
        let Some(session) = read_identity(identity) else { return Ok(None) };
        let Some((account, records)) = rest.split_at_checked(ACCOUNT_BYTES) else {
            return Ok(None);
        };
        // Unreadable only after a power loss; the records tell most of it.
        let account = Account::decode(account).unwrap_or_default();
        let mut segment = Self::empty(path.to_owned(), id, session, account);
        let survey = Survey::of(class, records);
        let settled_bytes = account.settled_bytes;
        let is_settled = |entry: &Entry| HEAD_BYTES + (entry.offset as u64) < settled_bytes;
        for entry in &survey.entries {
            if is_settled(entry) {
                segment.take(segment.records);
                segment.settled += 1;
            }
            segment.records += 1;
            segment.newest = segment.newest.max(entry.kept_at);
        }
        segment.bytes = HEAD_BYTES + survey.whole_bytes as u64;
        let highest = survey.entries.last().map_or(0, |entry| entry.number);
        let highest = highest.max(account.given);
        let clean = (survey.damaged > 0).then(|| {
            let account = Account { given: highest, settled_bytes: 0, ..account };
            let mut clean = identity.to_vec();
            clean.extend_from_slice(&account.encode());
            for entry in survey.entries.iter().filter(|entry| !is_settled(entry)) {
                clean.extend_from_slice(&records[entry.offset..entry.offset + entry.bytes]);
            }
            clean
        });
        Ok(Some(Found { segment, highest, damaged: survey.damaged, clean }))
    }
}

/// Reads the record at `offset`, and where the next begins; `None` if there is none.
pub(super) fn read_record(
    class: Class,
    mut file: &File,
    offset: u64,
) -> io::Result<Option<(Record, u64)>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut frame = [0; FRAME_BYTES];
    file.read_exact(&mut frame)?;
    let Some(length) = body_bytes(frame) else { return Ok(None) };
    let mut bytes = vec![0; FRAME_BYTES + length];
    bytes[..FRAME_BYTES].copy_from_slice(&frame);
    file.read_exact(&mut bytes[FRAME_BYTES..])?;
    match Record::parse(class, &bytes) {
        Parsed::Record(record) => Ok(Some((record, offset + bytes.len() as u64))),
        Parsed::Torn | Parsed::Damaged => Ok(None),
    }
}

fn read_identity(identity: &[u8]) -> Option<SessionId> {
    let (named, checksum) = identity.split_at_checked(IDENTITY_BYTES - 4)?;
    if crc32fast::hash(named).to_le_bytes() != *checksum {
        return None;
    }
    let session: [u8; 16] = named.strip_prefix(&MAGIC)?.try_into().ok()?;
    Some(SessionId::from_bytes(session))
}

impl Account {
    fn encode(self) -> [u8; ACCOUNT_BYTES] {
        let mut bytes = [0; ACCOUNT_BYTES];
        bytes[..8].copy_from_slice(&self.given.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.dropped.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.settled_bytes.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (account, checksum) = bytes.split_at_checked(ACCOUNT_BYTES - 4)?;
        if crc32fast::hash(account).to_le_bytes() != *checksum {
            return None;
        }
        let number = |at: usize| account.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        Some(Self { given: number(0)?, dropped: number(8)?, settled_bytes: number(16)? })
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
