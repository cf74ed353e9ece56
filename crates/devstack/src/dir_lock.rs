//! The lock that a server holds on its directory for as long as it, or a child of it, lives.
//!
//! Promises: two servers never share files, even when the owner of the first was killed and its
//! warden is still ending it. The warden takes the lock; here it is only waited for.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{STOP_GRACE_S, WARDEN_GRACE_S};

const POLL_INTERVAL: Duration = Duration::from_millis(10);

pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("server.lock")
}

/// Waits until no server uses `dir`: one whose owner was killed is ending by itself.
pub(crate) fn wait_unused(dir: &Path) -> Result<()> {
    let path = path(dir);
    let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let deadline = Instant::now() + Duration::from_secs(STOP_GRACE_S + WARDEN_GRACE_S);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(POLL_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => {
                bail!("another server is running in {}; stop it first", dir.display());
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
    }
}
