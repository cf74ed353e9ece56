//! The spool's folder: whose it is, and what an earlier run left in it.
//!
//! Promises: only one process uses it. A damaged file is replaced by what can be read in it, in one
//! step, and kept under another name; only the newest few are.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::SpoolError;
use super::log::Log;
use super::segment::{Found, Segment};
use crate::class::Class;

const LOCK: &str = "lock";
/// What the name of a file set aside begins with.
pub(super) const DAMAGED: &str = "damaged-";
/// What the name of a file ends with that is not whole yet.
const HALF_WRITTEN: &str = ".new";
/// Damaged files that are kept for whoever wants to know.
pub(super) const DAMAGED_MAX_FILES: usize = 4;

pub(crate) fn make(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

pub(crate) fn lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join(LOCK);
    let failed = |problem| SpoolError { action: "cannot lock", path: path.clone(), problem };
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(|error| failed(error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(failed(
            "another agent uses this folder; stop it, or give this one its own".to_owned(),
        )),
        Err(TryLockError::Error(error)) => Err(failed(error.to_string())),
    }
}

/// The files of one kind, and what is in them; what is damaged is set aside first.
pub(super) fn find(dir: &Path, class: Class) -> Result<Vec<Found>, SpoolError> {
    let mut all = Vec::new();
    let failed = |error: io::Error| SpoolError {
        action: "cannot read",
        path: dir.to_owned(),
        problem: error.to_string(),
    };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(class.name()) && name.ends_with(HALF_WRITTEN) {
            // A kill came before it was whole; the file that it was to replace is still there.
            fs::remove_file(&path).map_err(failed)?;
        }
        let Some(id) = Log::id_of(class, name) else { continue };
        if let Some(found) = open_segment(class, &path, id).map_err(failed)? {
            all.push(found);
        }
    }
    all.sort_by_key(|found| found.segment.id);
    Ok(all)
}

fn open_segment(class: Class, path: &Path, id: u64) -> io::Result<Option<Found>> {
    let Some(found) = Segment::open(class, path, id)? else {
        tracing::error!(file = %path.display(), "no file of a spool can be read in it, set aside");
        keep_aside(path)?;
        return Ok(None);
    };
    let Some(clean) = &found.clean else { return Ok(Some(found)) };
    tracing::error!(
        file = %path.display(), lost = found.damaged,
        "damaged: what can be read is kept, the file is set aside"
    );
    // Nothing is lost by it that could be read.
    if let Err(error) = fs::copy(path, room_aside(path)?) {
        tracing::warn!(%error, "the damaged file could not be kept");
    }
    let mut whole = path.to_owned().into_os_string();
    whole.push(HALF_WRITTEN);
    fs::write(&whole, clean)?;
    // A power loss must leave one or the other.
    File::open(&whole)?.sync_all()?;
    fs::rename(&whole, path)?;
    let reopened = Segment::open(class, path, id)?;
    Ok(reopened.map(|clean| Found { damaged: found.damaged, ..clean }))
}

/// Takes a damaged file out of the way.
pub(super) fn keep_aside(path: &Path) -> io::Result<()> {
    fs::rename(path, room_aside(path)?)
}

/// The name under which a damaged file is kept; the oldest of those that are kept makes room.
fn room_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let dir = path.parent().unwrap_or(path);
    let aside = set_aside(dir)?;
    let surplus = (aside.len() + 1).saturating_sub(DAMAGED_MAX_FILES);
    for oldest in aside.iter().take(surplus) {
        fs::remove_file(oldest)?;
    }
    Ok(dir.join(format!("{DAMAGED}{name}")))
}

/// The damaged files that are kept, the oldest first.
pub(crate) fn set_aside(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut aside = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DAMAGED) {
            aside.push(entry.path());
        }
    }
    aside.sort_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    Ok(aside)
}
