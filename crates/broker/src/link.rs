//! How a connection fares, in plain words, also while there is none.
//!
//! Promises: what keeps the connection from standing is named with its remedy as long as it lasts,
//! and no longer. Refuses: to repeat a secret; it sees error texts and times only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use identity::{Credentials, UnixSeconds};
use protocol::UnixMillis;
use tokio::sync::watch;

use crate::trouble::{self, Trouble};

/// A connection's state, shared with whoever tells of it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Link {
    inner: Arc<Mutex<Inner>>,
    connections: Arc<watch::Sender<u64>>,
    changes: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Inner {
    connected: bool,
    since: UnixMillis,
    /// Why the newest attempt failed, in the client library's words for the kind of failure.
    failure: Option<String>,
    /// Of each server that was tried: the failure in full. An older one may still stand there.
    details: Vec<String>,
    /// What the broker said before it closed the connection.
    last_words: Option<String>,
    /// Why the credentials cannot be shown.
    unusable: Option<String>,
    expires: Option<UnixSeconds>,
    at_once: bool,
}

/// What there is to say of a connection at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Whether it stands.
    pub connected: bool,
    /// Since when it does or does not, by this machine's clock.
    pub since: UnixMillis,
    /// Why it does not stand.
    pub trouble: Option<Trouble>,
    /// When the credentials shown last end; `None`: never, or none were shown.
    pub credentials_expire: Option<UnixSeconds>,
}

impl Default for Link {
    fn default() -> Self {
        let inner = Inner {
            connected: false,
            since: UnixMillis::now(),
            failure: None,
            details: Vec::new(),
            last_words: None,
            unusable: None,
            expires: None,
            at_once: false,
        };
        let counter = || Arc::new(watch::channel(0).0);
        let (connections, changes) = (counter(), counter());
        Self { inner: Arc::new(Mutex::new(inner)), connections, changes }
    }
}

impl Link {
    /// How it fares now.
    #[must_use]
    pub fn state(&self) -> LinkState {
        let inner = self.lock();
        LinkState {
            connected: inner.connected,
            since: inner.since,
            trouble: if inner.connected { None } else { Some(inner.trouble()) },
            credentials_expire: inner.expires,
        }
    }

    /// Counts the connections made so far; changes at every reconnection.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.connections.subscribe()
    }

    /// Changes whenever there is something new to say.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Returns how many there have been.
    pub(crate) fn stands(&self) -> u64 {
        let mut inner = self.lock();
        (inner.connected, inner.since) = (true, UnixMillis::now());
        (inner.failure, inner.last_words, inner.unusable) = (None, None, None);
        drop(inner);
        self.changed();
        self.connections.send_modify(|count| *count += 1);
        *self.connections.borrow()
    }

    pub(crate) fn is_gone(&self) {
        let mut inner = self.lock();
        // A refused attempt tells of it too.
        if inner.connected {
            (inner.connected, inner.since) = (false, UnixMillis::now());
            inner.failure = None;
            inner.details.clear();
        }
        drop(inner);
        self.changed();
    }

    pub(crate) fn failed(&self, why: String) {
        self.lock().failure = Some(why);
        self.changed();
    }

    pub(crate) fn failed_in_detail(&self, details: Vec<String>) {
        self.lock().details = details;
        self.changed();
    }

    /// The server said why it will close the connection.
    pub(crate) fn was_told(&self, words: &str) {
        if trouble::is_of_credentials(words) {
            self.lock().last_words = Some(words.to_owned());
        }
    }

    pub(crate) fn shows(&self, shown: Result<&Credentials, &str>) {
        let mut inner = self.lock();
        inner.unusable = shown.err().map(str::to_owned);
        if let Ok(credentials) = shown {
            inner.expires = credentials.user().expires;
        }
    }

    /// The next attempt is not to wait.
    pub(crate) fn hurry(&self) {
        self.lock().at_once = true;
    }

    /// Whether the attempt that is made now need not wait: the very first, or one asked for.
    pub(crate) fn take_hurry(&self) -> bool {
        std::mem::take(&mut self.lock().at_once) || *self.connections.borrow() == 0
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn trouble(&self) -> Trouble {
        if let Some(problem) = &self.unusable {
            return trouble::of_credentials_file(problem);
        }
        let refused = self.failure.as_deref().is_some_and(trouble::is_of_credentials);
        if refused && self.expires.is_some_and(|end| end <= UnixSeconds::now()) {
            return trouble::of_connection("user authentication expired");
        }
        // Only the first refusal says why; those that follow say that it is one.
        if let (true, Some(words)) = (refused, &self.last_words) {
            return trouble::of_connection(words);
        }
        let Some(kind) = &self.failure else { return trouble::not_yet() };
        let full = self.details.iter().find(|detail| detail.starts_with(kind.as_str()));
        trouble::of_connection(full.unwrap_or(kind))
    }
}
