//! One pusher at a time.
//!
//! A push replaces an account as a whole. Two that read the same claims and push after one another
//! would lose what the first added, a revocation at worst.

use std::time::Duration;

use identity::{KeyDir, KeyDirLock};
use tokio::time::Instant;

use super::error::AccountsError;

/// Longest wait for another process.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often to look again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits for the sole right to push, without blocking the thread.
pub(super) async fn wait(keys: &KeyDir) -> Result<KeyDirLock, AccountsError> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(lock) = keys.try_lock()? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(AccountsError::Busy {
                path: keys.path().join(".lock").display().to_string(),
                waited_seconds: WAIT_MAX.as_secs(),
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
