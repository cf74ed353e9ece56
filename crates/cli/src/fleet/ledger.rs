//! What a fleet did: a line a device for a checker, a line in all for a person.
//!
//! A line of the ledger is one JSON object: `tenant`, `device`, `session`, and for each of
//! `metric`, `heartbeat`, `monitoring` and `response` the counts `handed`, `confirmed`, `dropped`, `retried`
//! and `waiting`, and `first_confirmed_ms` and `last_confirmed_ms`, the oldest and the newest time
//! stamp that a stream has confirmed. The six points of one moment have one time stamp. `chaos` has
//! the device's `clock_offset_ms`, and how many `disconnects`, `duplicates` and `malformed` messages
//! there were, of which `malformed_confirmed` are in a stream and have to become dead letters. Promises:
//! a reader sees the whole file of one moment or of the next.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use broker::{KindFigures, OutboxFigures};
use serde_json::{Value, json};

use super::device::Device;

/// The ledger's text.
///
/// # Errors
/// None is known; a figure that is no JSON.
pub(super) fn lines(devices: &[Arc<Device>]) -> anyhow::Result<String> {
    let mut text = String::new();
    for device in devices {
        text.push_str(&serde_json::to_string(&line(device))?);
        text.push('\n');
    }
    Ok(text)
}

fn line(device: &Device) -> Value {
    let figures = device.outbox.figures();
    json!({
        "tenant": device.member.tenant,
        "device": device.member.device,
        "session": device.session,
        "metric": entry(&figures.metric),
        "heartbeat": entry(&figures.heartbeat),
        "monitoring": entry(&figures.monitoring),
        "response": entry(&figures.response),
        "chaos": device.chaos.entry(),
    })
}

fn entry(figures: &KindFigures) -> Value {
    json!({
        "handed": figures.handed,
        "confirmed": figures.confirmed,
        "dropped": figures.dropped.total(),
        "retried": figures.retried,
        "waiting": figures.depth(),
        "first_confirmed_ms": figures.first_confirmed,
        "last_confirmed_ms": figures.last_confirmed,
    })
}

/// Puts `text` in place of what is at `path`.
///
/// # Errors
/// The directory cannot be written.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let writing = || format!("writing the ledger {}", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))
        .with_context(writing)?;
    file.write_all(text.as_bytes()).with_context(writing)?;
    file.persist(path).with_context(writing)?;
    Ok(())
}

/// The fleet in one line.
#[derive(Debug, Default)]
pub(super) struct Summary {
    devices: usize,
    connected: usize,
    handed: u64,
    confirmed: u64,
    waiting: u64,
    retried: u64,
    dropped: u64,
    /// Of one of those that have something waiting.
    trouble: Option<Arc<str>>,
}

impl Summary {
    pub(super) fn of(devices: &[Arc<Device>]) -> Self {
        let mut summary = Self { devices: devices.len(), ..Self::default() };
        for device in devices {
            summary.connected += usize::from(device.is_connected());
            summary.add(&device.outbox.figures());
        }
        summary
    }

    fn add(&mut self, figures: &OutboxFigures) {
        for (_, kind) in figures.kinds() {
            self.handed += kind.handed;
            self.confirmed += kind.confirmed;
            self.waiting += kind.depth();
            self.retried += kind.retried;
            self.dropped += kind.dropped.total();
        }
        if figures.depth() > 0 && self.trouble.is_none() {
            self.trouble.clone_from(&figures.last_error);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fleet: {} of {} connected, {} messages handed over, {} confirmed, {} waiting, \
             {} sent again, {} dropped",
            self.connected,
            self.devices,
            self.handed,
            self.confirmed,
            self.waiting,
            self.retried,
            self.dropped
        )?;
        match &self.trouble {
            Some(trouble) => write!(f, "; trouble: {trouble}"),
            None => Ok(()),
        }
    }
}
