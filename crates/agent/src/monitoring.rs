//! Monitoring reports: everything about the device in one flat JSON object.
//!
//! Promises: a section that fails or is slow is named under `errors`, and the others are there.

use std::time::Duration;

use broker::{Outbox, Sender};
use bytes::Bytes;
use futures::future::join_all;
use protocol::{Kind, UnixMillis};
use serde_json::{Map, Value, json};
use tokio::time::MissedTickBehavior;

use crate::collect::{self, Patient};

/// How long a report waits for a section.
const SECTION_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Reports {
    sender: Sender,
    outbox: Outbox,
    sections: Vec<Patient<Map<String, Value>>>,
}

impl Reports {
    pub(crate) fn new(sender: Sender, outbox: Outbox) -> Self {
        let sections = collect::sections().into_iter().map(Patient::new).collect();
        Self { sender, outbox, sections }
    }

    /// Reports at once and then at each `interval`, for ever.
    pub(crate) async fn report(mut self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if let Err(error) = self.hand_over().await {
                tracing::warn!(%error, "monitoring report not taken");
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
                errors.insert(section.name().to_owned(), trouble.into());
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
