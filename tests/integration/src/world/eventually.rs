//! Waiting for a condition, with a deadline and a reason.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Longest wait for what should happen soon, generous since machines are busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `condition` gives a value.
pub(crate) async fn eventually<T>(
    what: &str,
    condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    eventually_within(SOON, what, condition).await
}

/// Looks until `condition` gives a value, at most for `limit`.
pub(crate) async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut looked = tokio::time::interval(LOOK_EVERY);
    loop {
        looked.tick().await;
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("not within {limit:?}: {what}");
        }
    }
}
