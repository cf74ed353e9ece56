//! Monitoring reports: everything about the device in one flat JSON object.
//!
//! Promises: a section that fails or is slow is named under `errors`, and the others are there.

use std::sync::Arc;
use std::time::Duration;

use broker::{Outbox, Sender};
use bytes::Bytes;
use futures::future::join_all;
use protocol::{Kind, UnixMillis};
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::collect::{self, Journal, Patient};

/// What precedes a section's name in the journal, where live metrics have the same names.
const IN_JOURNAL: &str = "report.";
/// How long a report waits for a section.
const SECTION_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Reports {
    sender: Sender,
    outbox: Outbox,
    sections: Vec<Patient<Map<String, Value>>>,
}

impl Reports {
    pub(crate) fn new(sender: Sender, outbox: Outbox, journal: &Journal) -> Self {
        let patient = |(name, section)| {
            Patient::new(&format!("{IN_JOURNAL}{name}"), section, journal.clone())
        };
        let sections = collect::sections().into_iter().map(patient).collect();
        Self { sender, outbox, sections }
    }

    /// Reports at once, and then at each `interval` as long as it has a sender; a change of it
    /// counts from the last report. Whenever `now` is notified, also then.
    pub(crate) async fn report(
        mut self,
        mut interval: watch::Receiver<Duration>,
        now: Arc<Notify>,
    ) {
        let mut last = None;
        loop {
            let every = *interval.borrow_and_update();
            let next = last.map_or_else(Instant::now, |last: Instant| last + every);
            let mut ticks = tokio::time::interval_at(next, every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let changed = loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = now.notified() => {}
                    changed = interval.changed() => break changed,
                }
                last = Some(Instant::now());
                if let Err(error) = self.hand_over().await {
                    tracing::warn!(%error, "monitoring report not taken");
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn hand_over(&mut self) -> anyhow::Result<()> {
        let at = UnixMillis::now();
        let mut report = Map::new();
        let mut errors = Map::new();
        let taken = join_all(self.sections.iter_mut().map(|part| part.collect(SECTION_WITHIN)));
        for section in taken.await.into_iter().flatten() {
            report.extend(section.reading);
        }
        for section in &self.sections {
            if let Some(trouble) = section.trouble() {
                let name = section.name();
                let name = name.strip_prefix(IN_JOURNAL).unwrap_or(name);
                errors.insert(name.to_owned(), trouble.into());
            }
        }
        if !errors.is_empty() {
            report.insert("errors".to_owned(), errors.into());
        }
        for (field, value) in [
            ("device_uuid", json!(self.sender.device)),
            ("tenant_uuid", json!(self.sender.tenant)),
            ("timestamp_ms", json!(at)),
            ("session_id", json!(self.sender.session)),
            ("agent_version", json!(env!("CARGO_PKG_VERSION"))),
            ("monitoring_type", json!("monitoring")),
        ] {
            report.insert(field.to_owned(), value);
        }
        self.outbox.hand_over(Kind::Monitoring, at, Bytes::from(serde_json::to_vec(&report)?))?;
        Ok(())
    }
}
