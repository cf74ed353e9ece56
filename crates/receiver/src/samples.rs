//! Figures that are looked up rather than counted: the broker connection, how far behind each
//! consumer is, how full each stream is, how the fleet does.
//!
//! Promises: what does not answer is absent, never shown with an old value. Every replica shows the
//! same figures of consumers, streams and devices: take one of them, not their sum.

mod consumers;
mod fleet;
mod streams;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker::{Broker, BrokerSettings, figures};
use opentelemetry::metrics::Meter;
use runtime::shutdown::CancellationToken;
use storage::Records;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What is looked at.
pub(crate) struct Looked {
    pub(crate) broker: Broker,
    pub(crate) reached: BrokerSettings,
    pub(crate) records: Records,
    /// Stream and durable consumer of each lane.
    pub(crate) consumers: Vec<(&'static str, &'static str)>,
}

/// Looks until `stop`.
pub(crate) async fn run(at: Looked, meter: Meter, stop: CancellationToken) {
    let consumers = Shared::<consumers::Seen>::default();
    let streams = Shared::<streams::Seen>::default();
    let fleet = Shared::<fleet::Seen>::default();
    let ends = figures::Ends::default();
    consumers::show(&meter, &consumers);
    streams::show(&meter, &streams);
    fleet::show(&meter, &fleet);
    figures::show_connection(&meter, &at.broker);
    ends.show(&meter);
    storage::show_pool(&meter, &at.records);
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let looking = async {
        loop {
            due.tick().await;
            tokio::join!(fleet::look(&fleet, &at.records), ends.look(&at.reached), async {
                consumers::look(&consumers, &at.broker, &at.consumers).await;
                streams::look(&streams, &at.broker).await;
            });
        }
    };
    stop.run_until_cancelled(looking).await;
}

/// What was seen last, for whoever shows it.
struct Shared<T>(Arc<Mutex<T>>);

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// What a question was answered with in time, if it was.
async fn answer<T, E: std::fmt::Display>(
    what: &str,
    question: impl Future<Output = Result<T, E>>,
) -> Option<T> {
    match tokio::time::timeout(ANSWER_TIMEOUT, question).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(what, %error, "cannot be looked up");
            None
        }
        Err(_) => {
            tracing::debug!(what, "was not answered in time");
            None
        }
    }
}
