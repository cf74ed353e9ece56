//! The journal's file: notes behind each other, written at the end.
//!
//! Promises: a note is whole or not there; what a kill tore off at the end is cut off at the next
//! start. A damaged file is kept beside the one that goes on.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::record::{self, FRAME_BYTES, Line, Parsed};

/// Largest file that is read at a start, in bytes; it is written anew long before.
const FILE_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Where a file that was damaged is kept; one is enough.
const DAMAGED: &str = "damaged-commands.log";
/// A file that is not whole yet.
const HALF_WRITTEN: &str = "commands.log.new";

/// Where a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    sync: bool,
}

impl LogFile {
    /// Opens or makes a file and gives every note to `each`; tells whether something in it could
    /// not be read that is not its torn end.
    pub(super) fn open(
        path: &Path,
        sync: bool,
        mut each: impl FnMut(&Line, Place),
    ) -> io::Result<(Self, bool)> {
        let mut file = open(path)?;
        let size = file.metadata()?.len();
        if size > FILE_MAX_BYTES {
            return Err(io::Error::other(format!("it has {size} bytes; remove it")));
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let (mut at, mut damaged) = (0, false);
        loop {
            let rest = content.get(at..).unwrap_or_default();
            match record::parse(rest) {
                Parsed::Line(line, bytes) => {
                    each(&line, Place { offset: at as u64, bytes });
                    at += bytes;
                }
                // The last note, torn by a power loss within it.
                Parsed::Damaged(bytes) if bytes == rest.len() => break,
                Parsed::Damaged(bytes) => {
                    damaged = true;
                    at += bytes;
                }
                Parsed::Torn => {
                    damaged |= follows_more(rest);
                    break;
                }
            }
        }
        if damaged {
            fs::copy(path, path.with_file_name(DAMAGED))?;
        }
        let log = Self { path: path.to_owned(), file, bytes: at as u64, sync };
        log.file.set_len(log.bytes)?;
        log.sync_folder()?;
        Ok((log, damaged))
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a note at the end.
    pub(super) fn append(&mut self, line: &Line, sync: bool) -> io::Result<Place> {
        let encoded = record::encode(line)?;
        let place = Place { offset: self.bytes, bytes: encoded.len() };
        let written = (&self.file)
            .seek(SeekFrom::Start(self.bytes))
            .and_then(|_| (&self.file).write_all(&encoded))
            .and_then(|()| if sync && self.sync { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // What may stand there of it is written over by the next.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += encoded.len() as u64;
        Ok(place)
    }

    /// The note at a place.
    pub(super) fn read(&self, place: Place) -> io::Result<Line> {
        let mut bytes = vec![0; place.bytes];
        (&self.file).seek(SeekFrom::Start(place.offset))?;
        (&self.file).read_exact(&mut bytes)?;
        match record::parse(&bytes) {
            Parsed::Line(line, _) => Ok(line),
            Parsed::Torn | Parsed::Damaged(_) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "a note is damaged"))
            }
        }
    }

    /// An empty file that is to take this one's place.
    pub(super) fn beside(&self) -> io::Result<Self> {
        let path = self.path.with_file_name(HALF_WRITTEN);
        let file = open(&path)?;
        file.set_len(0)?;
        Ok(Self { path, file, bytes: 0, sync: self.sync })
    }

    /// Takes the place of `old`, in one step.
    pub(super) fn replace(mut self, old: &mut Self) -> io::Result<()> {
        if self.sync {
            self.file.sync_all()?;
        }
        fs::rename(&self.path, &old.path)?;
        self.path.clone_from(&old.path);
        *old = self;
        old.sync_folder()
    }

    /// A name is on disk once its folder is.
    fn sync_folder(&self) -> io::Result<()> {
        #[cfg(unix)]
        if self.sync
            && let Some(folder) = self.path.parent()
        {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// Whether what cannot be read is more than one note that was being written: zeros are what a power
/// loss leaves of it.
fn follows_more(rest: &[u8]) -> bool {
    let zeros = rest.iter().all(|byte| *byte == 0);
    let Some(frame) = rest.first_chunk::<FRAME_BYTES>() else { return false };
    let announced = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    !zeros && announced < rest.len().saturating_sub(FRAME_BYTES)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
