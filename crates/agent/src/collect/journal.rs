//! How each collector fares: what the heartbeat and `status` say of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::CollectorReport;

/// Longest text of a trouble that is kept, in characters.
const TROUBLE_MAX_CHARS: usize = 200;

/// The last look of every collector that runs; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<BTreeMap<String, CollectorReport>>>);

impl Journal {
    pub(super) fn note(&self, name: &str, took: Option<Duration>, error: Option<String>) {
        // Microseconds are as fine as anybody reads.
        let took_ms = took.map(|took| (took.as_secs_f64() * 1e6).round() / 1e3);
        let error = error.map(|text| text.chars().take(TROUBLE_MAX_CHARS).collect());
        self.lock().insert(name.to_owned(), CollectorReport { took_ms, error });
    }

    /// It runs no longer.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// As it stands, by name.
    pub(crate) fn reports(&self) -> BTreeMap<String, CollectorReport> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, CollectorReport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
