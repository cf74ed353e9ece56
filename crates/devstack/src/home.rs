//! The directory of one server: the caller's, or a temporary one that goes with the handle.
//!
//! Promises: a temporary directory is kept, and its path printed, when the thread that drops it is
//! panicking (a failed test); one whose owner was killed is removed by the next start.
//! Refuses to: delete a directory that the caller named.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::account::{Account, RELOCATED_BASE, reachable_dir};

const TEMP_PREFIX: &str = "wegweiser-test-";
/// How long a failed test's directory stays for someone to read its logs.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Held locked while the owner lives; the kernel lets go of it when the owner is killed.
const OWNER_LOCK: &str = "owner.lock";

#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    temporary: Option<Temporary>,
}

#[derive(Debug)]
struct Temporary {
    dir: TempDir,
    _owner: File,
}

impl Home {
    /// The caller's own directory, or a temporary one; in either case where `account` reaches it.
    pub(crate) fn open(dir: Option<&Path>, account: Option<&Account>) -> Result<Self> {
        match dir {
            Some(dir) => Ok(Self { path: reachable_dir(dir, account)?, temporary: None }),
            None => Self::temporary(account),
        }
    }

    fn temporary(account: Option<&Account>) -> Result<Self> {
        // Root's own temporary directory may be closed to everyone else.
        let base = match account {
            Some(_) => PathBuf::from(RELOCATED_BASE),
            None => std::env::temp_dir(),
        };
        remove_abandoned(&base);
        let dir = tempfile::Builder::new()
            .prefix(TEMP_PREFIX)
            .tempdir_in(&base)
            .with_context(|| format!("creating a directory in {}", base.display()))?;
        // Locked before it has its name, so that nobody finds it unlocked.
        let unnamed = dir.path().join("owner.new");
        let owner = File::create(&unnamed)?;
        owner.try_lock().context("locking a directory just made")?;
        fs::rename(&unnamed, dir.path().join(OWNER_LOCK))?;
        Ok(Self {
            path: reachable_dir(dir.path(), account)?,
            temporary: Some(Temporary { dir, _owner: owner }),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the directory because of `error`, which names the log within.
    pub(crate) fn kept_for(mut self, error: anyhow::Error) -> anyhow::Error {
        self.keep();
        error
    }

    /// Leaves a temporary directory where it is, for someone to read its logs.
    fn keep(&mut self) {
        if let Some(temporary) = &mut self.temporary {
            temporary.dir.disable_cleanup(true);
            // Without the lock file it is not taken for abandoned either.
            let _ = fs::remove_file(temporary.dir.path().join(OWNER_LOCK));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary.is_some() && std::thread::panicking() {
            self.keep();
            crate::output::note(&format!("server files kept in {}", self.path.display()));
        }
    }
}

/// Best effort: what cannot be removed now is tried again by the next start.
fn remove_abandoned(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX);
        if is_ours && is_abandoned(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Without a living owner, or kept for its logs long enough.
fn is_abandoned(dir: &Path) -> bool {
    if let Ok(owner) = File::open(dir.join(OWNER_LOCK)) {
        return owner.try_lock().is_ok();
    }
    let age = fs::metadata(dir).and_then(|found| found.modified()).map(|made| made.elapsed());
    matches!(age, Ok(Ok(age)) if age > KEPT_FOR)
}
