//! Who sits at which feed: each feed runs once, however many sockets watch, and ends with the last.
//!
//! Promises: a frame is written once and shared; a socket has a queue of its own, bounded, and who
//! lets it run full is shed rather than waited for, so that nobody slow holds up the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use protocol::{DeviceId, TenantId};
use runtime::shutdown::CancellationToken;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::feeds::{self, Sources};
use super::frames::SocketId;
use crate::problem::Problem;

/// What a feed is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    Metrics(TenantId, DeviceId),
    Responses(TenantId, DeviceId),
    Presence,
    DeadLetters,
}

/// Which frames of a feed somebody is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Filter {
    /// All.
    All,
    /// Of this tenant; none: of all.
    Tenant(Option<TenantId>),
    /// Of this command.
    Command(String),
}

/// A socket's place at its feeds; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) socket: SocketId,
    pub(super) queue: mpsc::Sender<Utf8Bytes>,
    /// Cancelled when the queue ran full.
    pub(super) shed: CancellationToken,
}

/// Those who watch one feed.
#[derive(Clone, Debug, Default)]
pub(super) struct Watchers(Arc<Mutex<Vec<(Filter, Seat)>>>);

impl Watchers {
    /// Hands each watcher the frame for its filter, where there is one.
    pub(super) fn send(&self, mut frame: impl FnMut(&Filter) -> Option<Utf8Bytes>) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|(filter, seat)| {
            let Some(frame) = frame(filter) else { return true };
            match seat.queue.try_send(frame) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    seat.shed.cancel();
                    false
                }
            }
        });
    }

    fn add(&self, filter: Filter, seat: Seat) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((filter, seat));
    }

    /// Whether somebody is left.
    fn remove(&self, filter: Option<&Filter>, socket: SocketId) -> bool {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|(other, seat)| {
            seat.socket != socket || filter.is_some_and(|filter| filter != other)
        });
        !watchers.is_empty()
    }
}

/// A feed that runs.
#[derive(Debug)]
struct Feed {
    watchers: Watchers,
    end: CancellationToken,
}

/// All feeds; cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub {
    feeds: Arc<tokio::sync::Mutex<HashMap<Topic, Feed>>>,
    sources: Sources,
    tasks: TaskTracker,
}

impl Hub {
    pub(super) fn new(sources: Sources) -> Self {
        Self { feeds: Arc::default(), sources, tasks: TaskTracker::new() }
    }

    /// Sits down at a feed, which begins where nobody sat before. What is sent from then on is in
    /// the seat's queue.
    ///
    /// # Errors
    /// The feed's source is away.
    pub(super) async fn join(
        &self,
        topic: Topic,
        filter: Filter,
        seat: &Seat,
    ) -> Result<(), Problem> {
        let mut feeds = self.feeds.lock().await;
        if let Some(feed) = feeds.get(&topic).filter(|feed| !feed.end.is_cancelled()) {
            feed.watchers.add(filter, seat.clone());
            return Ok(());
        }
        let (watchers, end) = (Watchers::default(), CancellationToken::new());
        let feed = feeds::open(&self.sources, topic, watchers.clone()).await?;
        watchers.add(filter, seat.clone());
        let ended = end.clone();
        self.tasks.spawn(async move {
            ended.run_until_cancelled(feed).await;
            // By itself: the connection was closed for good.
            ended.cancel();
        });
        feeds.insert(topic, Feed { watchers, end });
        Ok(())
    }

    /// Stands up; the feed ends where nobody is left.
    pub(super) async fn leave(&self, topic: Topic, filter: &Filter, socket: SocketId) {
        let mut feeds = self.feeds.lock().await;
        let Some(feed) = feeds.get(&topic) else { return };
        if !feed.watchers.remove(Some(filter), socket) {
            feed.end.cancel();
            feeds.remove(&topic);
        }
    }

    /// Stands up everywhere.
    pub(super) async fn leave_all(&self, socket: SocketId, topics: impl Iterator<Item = Topic>) {
        let mut feeds = self.feeds.lock().await;
        for topic in topics {
            let Some(feed) = feeds.get(&topic) else { continue };
            if !feed.watchers.remove(None, socket) {
                feed.end.cancel();
                feeds.remove(&topic);
            }
        }
    }

    /// Ends every feed and waits for it.
    pub(super) async fn close(&self) {
        for feed in self.feeds.lock().await.values() {
            feed.end.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}
