//! How far behind each consumer is, and whether anybody pulls from it.

use std::collections::BTreeMap;

use broker::{Broker, BrokerGone};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::{Shared, answer};

/// The newest look at each lane's consumer, by its stream.
pub(super) type Seen = BTreeMap<&'static str, Lag>;

/// How far behind a consumer is.
#[derive(Clone, Copy)]
pub(super) struct Lag {
    /// Messages that no receiver has been given yet.
    waiting: u64,
    /// Messages that receivers hold and have not settled.
    held: u64,
    /// Messages that were delivered more than once and are not settled.
    redelivered: u64,
    /// Requests for messages that wait at the server.
    pulls: u64,
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

pub(super) async fn look(
    seen: &Shared<Seen>,
    broker: &Broker,
    consumers: &[(&'static str, &'static str)],
) {
    for (stream, consumer) in consumers {
        // Without a connection the client would keep the question until there is one.
        let now = if broker.is_connected() {
            answer(stream, lag(broker, stream, consumer)).await
        } else {
            None
        };
        let mut seen = seen.lock();
        match now {
            Some(mut now) => {
                // What was put off waits on purpose while points do.
                let on_purpose = *stream == "METRICS_DEFERRED"
                    && seen.get("METRICS").is_some_and(|points| points.waiting > 0);
                if !on_purpose {
                    now.compare(stream, seen.get(stream).copied());
                }
                seen.insert(stream, now);
            }
            None => drop(seen.remove(stream)),
        }
    }
}

async fn lag(broker: &Broker, stream: &str, consumer: &str) -> Result<Lag, BrokerGone> {
    let state = broker.consumer_state(stream, consumer).await?;
    let mut lag = Lag {
        waiting: state.num_pending,
        held: state.num_ack_pending,
        redelivered: state.num_redelivered,
        pulls: state.num_waiting,
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

pub(super) fn show(meter: &Meter, seen: &Shared<Seen>) {
    let gauge = |name, what, of: fn(&Lag) -> u64| {
        let seen = seen.clone();
        meter
            .u64_observable_gauge(name)
            .with_description(what)
            .with_callback(move |observer| {
                for (stream, lag) in &*seen.lock() {
                    observer.observe(of(lag), &[KeyValue::new("stream", *stream)]);
                }
            })
            .build();
    };
    gauge(
        "wegweiser_consumer_lag_messages",
        "Messages that are not settled: still waiting, or held by a receiver.",
        |lag| lag.waiting + lag.held,
    );
    gauge(
        "wegweiser_consumer_ack_pending_messages",
        "Messages that receivers hold and have not settled.",
        |lag| lag.held,
    );
    gauge(
        "wegweiser_consumer_redelivered_messages",
        "Messages that were delivered more than once and are not settled.",
        |lag| lag.redelivered,
    );
    gauge(
        "wegweiser_consumer_waiting_pulls",
        "Requests for messages that wait at the broker.",
        |lag| lag.pulls,
    );
    gauge(
        "wegweiser_consumer_stalled",
        "1: messages wait, nobody holds any, and none was delivered since the last look.",
        |lag| u64::from(lag.stalled),
    );
    let seen = seen.clone();
    meter
        .f64_observable_gauge("wegweiser_consumer_lag_seconds")
        .with_description("Age of the oldest message that is not settled; 0 where all are.")
        .with_unit("s")
        .with_callback(move |observer| {
            for (stream, lag) in &*seen.lock() {
                observer.observe(lag.oldest_seconds, &[KeyValue::new("stream", *stream)]);
            }
        })
        .build();
}
