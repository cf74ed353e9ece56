//! Time as JWTs count it.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01 UTC: the unit of every time in a JWT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(i64);

impl UnixSeconds {
    /// Names a number of seconds since the epoch.
    #[must_use]
    pub const fn new(seconds: i64) -> Self {
        Self(seconds)
    }

    /// This machine's clock now; the epoch if the clock stands before it.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map(|since| since.as_secs()).unwrap_or_default();
        Self(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// The bare number.
    #[must_use]
    pub const fn as_i64(&self) -> i64 {
        self.0
    }

    /// This long after, in whole seconds; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(seconds))
    }
}
