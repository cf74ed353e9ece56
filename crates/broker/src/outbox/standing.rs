//! How the spool stands, and what the agent says of itself with it.
//!
//! Promises: whatever keeps messages off the disk is named, and tried again until it is gone. What
//! waits is synced to the disk within [`TEND_EVERY`], off the thread that collects.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::{DropReasons, DroppedCounts, HeartbeatStatus, KindCounts};
use runtime::shutdown::CancellationToken;
use tokio::time::MissedTickBehavior;

use super::queue::KindFigures;
use super::{Bounds, Outbox, Sender};
use crate::spool::{Spool, SpoolError, SpoolSettings};

/// How often what waits is synced and what is old goes.
const TEND_EVERY: Duration = Duration::from_secs(1);
/// How often a folder that could not be used is tried again.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How the spool stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolStanding {
    /// None is wanted: messages wait in memory.
    Off,
    /// What is handed over is on disk.
    Well {
        /// Bytes that it has on disk.
        bytes: u64,
    },
    /// Messages wait in memory only, and why, in plain words.
    Faulty(Arc<str>),
}

impl Outbox {
    /// An outbox that keeps on disk what the stream has not confirmed, and goes on with what an
    /// earlier run left there. A folder that cannot be used does not stop it: it is told by
    /// [`Outbox::standing`] and tried again by [`Outbox::tend`].
    #[must_use]
    pub fn with_spool(sender: Sender, bounds: Bounds, settings: SpoolSettings) -> Self {
        let opened = open(&settings, sender);
        let outbox = Self::start(sender, bounds, Some(settings));
        outbox.adopt(opened);
        outbox
    }

    fn adopt(&self, opened: Result<Spool, SpoolError>) {
        let Some(settings) = &self.spool else { return };
        let mut state = self.lock();
        match opened {
            Ok(spool) => state.adopt(spool, settings.max_age),
            Err(error) => state.note_fault(Some(&error)),
        }
        drop(state);
        self.work.notify_one();
    }

    /// Looks after the spool until `stop`: syncs, forgets what is too old, and tries again what
    /// did not work. Without a spool there is only waiting.
    pub async fn tend(&self, stop: &CancellationToken) {
        let mut ticks = tokio::time::interval(TEND_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tried = Instant::now();
        while let Some(_tick) = stop.run_until_cancelled(ticks.tick()).await {
            if self.lock().spool.is_none() && tried.elapsed() >= OPEN_AGAIN_AFTER {
                tried = Instant::now();
                self.open_again().await;
            }
            self.sync().await;
        }
        self.sync().await;
    }

    async fn open_again(&self) {
        let Some(settings) = self.spool.clone() else { return };
        let sender = self.sender;
        let opened = tokio::task::spawn_blocking(move || open(&settings, sender)).await;
        if let Ok(opened) = opened {
            self.adopt(opened);
        }
    }

    /// Brings to the disk what a power loss would take.
    async fn sync(&self) {
        let files = {
            let mut state = self.lock();
            state.tidy(Instant::now());
            state.spool.as_mut().map(Spool::unsynced).unwrap_or_default()
        };
        if files.is_empty() {
            return;
        }
        let sync = move || files.iter().try_for_each(|file: &Arc<File>| file.sync_data());
        let Ok(Err(error)) = tokio::task::spawn_blocking(sync).await else { return };
        let mut state = self.lock();
        let error = state.spool.as_ref().map(|spool| spool.not_synced(&error));
        state.note_fault(error.as_ref());
    }

    /// How the spool stands.
    #[must_use]
    pub fn standing(&self) -> SpoolStanding {
        let state = self.lock();
        match (&self.spool, &state.fault, &state.spool) {
            (None, ..) => SpoolStanding::Off,
            (Some(_), Some(reason), _) => SpoolStanding::Faulty(Arc::clone(reason)),
            (Some(_), None, spool) => {
                SpoolStanding::Well { bytes: spool.as_ref().map_or(0, Spool::bytes) }
            }
        }
    }

    /// Files of the spool that were damaged and lie beside it until somebody has looked at them.
    #[must_use]
    pub fn set_aside(&self) -> Vec<PathBuf> {
        self.spool.as_ref().map_or_else(Vec::new, |settings| {
            crate::spool::set_aside(&place(settings, self.sender)).unwrap_or_default()
        })
    }

    /// Fills in what the outbox knows for the next heartbeat: the numbers, with that heartbeat
    /// among the sent, what waits, what was given up, and earlier sessions.
    pub fn tell(&self, status: &mut HeartbeatStatus) {
        let mut state = self.lock();
        let figures = super::figures(&state);
        let of = |count: fn(&KindFigures) -> u64| KindCounts {
            metric: count(&figures.metric),
            heartbeat: count(&figures.heartbeat),
            monitoring: count(&figures.monitoring),
            response: count(&figures.response),
        };
        status.connected = state.connected;
        status.sent = of(|kind| kind.handed);
        status.sent.heartbeat += 1;
        status.spooled = of(|kind| kind.depth().saturating_sub(kind.earlier));
        let dropped = |kind: &KindFigures| -> DropReasons { kind.dropped };
        status.dropped = DroppedCounts {
            metric: dropped(&figures.metric),
            heartbeat: dropped(&figures.heartbeat),
            monitoring: dropped(&figures.monitoring),
            response: dropped(&figures.response),
        };
        let fault = state.fault.clone().or_else(|| figures.last_error.clone());
        status.last_error = fault.map(|text| text.to_string());
        if let Some(spool) = &mut state.spool {
            let pending = spool.pending();
            status.spooled_bytes = spool.bytes();
            status.earlier_sessions = spool.sessions.tell(status.sent.heartbeat, &pending);
        }
    }
}

/// Opens the folder of one device: another's messages must not go out under its name.
fn open(settings: &SpoolSettings, sender: Sender) -> Result<Spool, SpoolError> {
    Spool::open(&place(settings, sender), settings.max_bytes, sender.session)
}

fn place(settings: &SpoolSettings, sender: Sender) -> PathBuf {
    settings.dir.join(format!("{}.{}", sender.tenant, sender.device))
}
