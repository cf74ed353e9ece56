//! Figures that are looked up rather than counted: the broker connection, how far behind each
//! consumer is, how many devices there are.
//!
//! Promises: what does not answer is absent, never shown with an old value. Every replica shows the
//! same figures of consumers and devices: take one of them, not their sum.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use broker::{Broker, BrokerGone};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use runtime::shutdown::CancellationToken;
use storage::{PresenceCounts, Records};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How far behind a consumer is.
#[derive(Clone, Copy)]
struct Lag {
    /// Messages that no receiver has been given yet.
    waiting: u64,
    /// Messages that receivers hold and have not settled.
    held: u64,
    /// Age of the oldest message that is not settled, by the broker's clock.
    oldest_seconds: f64,
    /// Deliveries so far.
    deliveries: u64,
    /// Whether the consumer is paused on the server.
    paused: bool,
    /// Whether messages wait, nobody holds any, and none was delivered since the last look.
    stalled: bool,
}

impl Lag {
    /// Compares with what was seen before, and tells when that is news.
    fn compare(&mut self, stream: &str, before: Option<Self>) {
        let Some(before) = before else { return };
        let idle = before.deliveries == self.deliveries && self.held == 0;
        self.stalled = idle && self.waiting > 0 && before.waiting > 0;
        let Self { waiting, paused, .. } = *self;
        match (before.stalled, self.stalled) {
            (false, true) => {
                tracing::warn!(stream, waiting, paused, "messages wait and none is delivered");
            }
            (true, false) => tracing::info!(stream, waiting, "messages are delivered again"),
            _ => {}
        }
    }
}

/// What was seen last.
#[derive(Default)]
struct Seen {
    lags: BTreeMap<&'static str, Lag>,
    devices: Option<PresenceCounts>,
}

#[derive(Clone, Default)]
struct Samples(Arc<Mutex<Seen>>);

/// Looks until `stop`. `consumers`: stream and durable consumer of each lane.
pub(crate) async fn run(
    broker: Broker,
    records: Records,
    consumers: Vec<(&'static str, &'static str)>,
    meter: Meter,
    stop: CancellationToken,
) {
    let samples = Samples::default();
    samples.show(&meter);
    show_connection(&meter, &broker);
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let looking = async {
        loop {
            due.tick().await;
            tokio::join!(samples.look_at_devices(&records), async {
                for (stream, consumer) in &consumers {
                    samples.look_at_lag(&broker, stream, consumer).await;
                }
            });
        }
    };
    stop.run_until_cancelled(looking).await;
}

impl Samples {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_at_lag(&self, broker: &Broker, stream: &'static str, consumer: &str) {
        let answer = if broker.is_connected() {
            tokio::time::timeout(ANSWER_TIMEOUT, lag(broker, stream, consumer)).await.ok()
        } else {
            None
        };
        match answer {
            Some(Ok(mut lag)) => {
                let lags = &mut self.seen().lags;
                lag.compare(stream, lags.get(stream).copied());
                lags.insert(stream, lag);
            }
            unanswered => {
                self.seen().lags.remove(stream);
                let error = unanswered.and_then(Result::err).map(|error| error.to_string());
                tracing::debug!(stream, error, "cannot tell how far behind a consumer is");
            }
        }
    }

    async fn look_at_devices(&self, records: &Records) {
        let counts = tokio::time::timeout(ANSWER_TIMEOUT, records.presence_counts()).await;
        self.seen().devices = counts.ok().and_then(Result::ok);
    }

    fn show(&self, meter: &Meter) {
        self.show_lag(
            meter,
            "wegweiser_consumer_lag_messages",
            "Messages that are not settled: still waiting, or held by a receiver.",
            |lag| lag.waiting + lag.held,
        );
        self.show_lag(
            meter,
            "wegweiser_consumer_ack_pending_messages",
            "Messages that receivers hold and have not settled.",
            |lag| lag.held,
        );
        let samples = self.clone();
        meter
            .f64_observable_gauge("wegweiser_consumer_lag_seconds")
            .with_description("Age of the oldest message that is not settled; 0 where all are.")
            .with_unit("s")
            .with_callback(move |observer| {
                for (stream, lag) in &samples.seen().lags {
                    observer.observe(lag.oldest_seconds, &[KeyValue::new("stream", *stream)]);
                }
            })
            .build();
        self.show_devices(meter, "wegweiser_devices_online", "Devices online.", |n| n.online);
        self.show_devices(
            meter,
            "wegweiser_devices_known",
            "Devices that ever sent a heartbeat.",
            |n| n.devices,
        );
    }

    fn show_lag(&self, meter: &Meter, name: &'static str, what: &'static str, of: fn(&Lag) -> u64) {
        let samples = self.clone();
        meter
            .u64_observable_gauge(name)
            .with_description(what)
            .with_callback(move |observer| {
                for (stream, lag) in &samples.seen().lags {
                    observer.observe(of(lag), &[KeyValue::new("stream", *stream)]);
                }
            })
            .build();
    }

    fn show_devices(
        &self,
        meter: &Meter,
        name: &'static str,
        what: &'static str,
        of: fn(&PresenceCounts) -> i64,
    ) {
        let samples = self.clone();
        meter
            .i64_observable_gauge(name)
            .with_description(what)
            .with_callback(move |observer| {
                if let Some(counts) = &samples.seen().devices {
                    observer.observe(of(counts), &[]);
                }
            })
            .build();
    }
}

async fn lag(broker: &Broker, stream: &str, consumer: &str) -> Result<Lag, BrokerGone> {
    let state = broker.consumer_state(stream, consumer).await?;
    let mut lag = Lag {
        waiting: state.num_pending,
        held: state.num_ack_pending,
        oldest_seconds: 0.0,
        deliveries: state.deliveries(),
        paused: state.paused,
        stalled: false,
    };
    if !state.is_drained() {
        let applied = broker.applied_until(stream, consumer).await?;
        let age_ms = state.server_time().since(applied).max(0);
        lag.oldest_seconds = f64::from(u32::try_from(age_ms).unwrap_or(u32::MAX)) / 1_000.0;
    }
    Ok(lag)
}

fn show_connection(meter: &Meter, broker: &Broker) {
    let connections = broker.connections();
    meter
        .u64_observable_counter("wegweiser_broker_reconnects_total")
        .with_description("Connections to the broker that were made again.")
        .with_callback(move |observer| {
            observer.observe(connections.borrow().saturating_sub(1), &[]);
        })
        .build();
    let broker = broker.clone();
    meter
        .u64_observable_counter("wegweiser_permission_violations_total")
        .with_description("Subjects that the broker refused to this process.")
        .with_callback(move |observer| observer.observe(broker.permission_violations(), &[]))
        .build();
}
