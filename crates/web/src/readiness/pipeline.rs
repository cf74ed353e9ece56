//! How far the pipeline is behind, for who reads what it has stored.
//!
//! Asked of the broker in the background; an answer never waits for it. What was not heard for a
//! while is unknown, not zero.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Broker, BrokerGone};
use tokio::sync::watch;
use tokio::time::Instant;

/// Streams with the durable consumer that writes each.
const LANES: [(&str, &str); 4] = [
    ("HEARTBEATS", "connectivity"),
    ("METRICS", "rings"),
    ("MONITORING", "records"),
    ("RESPONSES", "records"),
];
/// What is older is unknown.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// Milliseconds by stream.
pub(crate) type BehindMs = BTreeMap<&'static str, i64>;

/// Who asks.
#[derive(Debug)]
pub(crate) struct Asker(watch::Sender<Option<(Instant, BehindMs)>>);

/// Who tells.
#[derive(Clone, Debug)]
pub(crate) struct Behind(watch::Receiver<Option<(Instant, BehindMs)>>);

pub(crate) fn behind() -> (Asker, Behind) {
    let (asker, behind) = watch::channel(None);
    (Asker(asker), Behind(behind))
}

impl Asker {
    /// Asks once.
    ///
    /// # Errors
    /// The broker does not answer, or a stream or consumer is missing.
    pub(crate) async fn ask(&self, broker: &Broker) -> Result<(), BrokerGone> {
        let mut behind = BehindMs::new();
        for (stream, consumer) in LANES {
            behind.insert(stream, broker.behind_ms(stream, consumer).await?);
        }
        self.0.send_replace(Some((Instant::now(), behind)));
        Ok(())
    }
}

impl Behind {
    /// For each stream how long its oldest message waits that is not stored; `None`: unknown.
    pub(crate) fn known(&self) -> Option<BehindMs> {
        let (at, behind) = self.0.borrow().clone()?;
        (at.elapsed() < KNOWN_FOR).then_some(behind)
    }
}
