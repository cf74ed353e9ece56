//! How full each stream is: at its limit, a stream drops what is oldest or refuses what is new.

use std::collections::BTreeMap;

use broker::{Broker, StreamUsage};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::{Shared, answer};

/// Every stream that nats/streams declares.
const STREAMS: [&str; 8] = [
    "METRICS",
    "METRICS_DEFERRED",
    "HEARTBEATS",
    "MONITORING",
    "RESPONSES",
    "COMMANDS",
    "DEAD_LETTERS",
    "ADVISORIES",
];

/// The newest look at each stream.
pub(super) type Seen = BTreeMap<&'static str, StreamUsage>;

pub(super) async fn look(seen: &Shared<Seen>, broker: &Broker) {
    for stream in STREAMS {
        let now = if broker.is_connected() {
            answer(stream, broker.stream_usage(stream)).await
        } else {
            None
        };
        let mut seen = seen.lock();
        match now {
            Some(usage) => drop(seen.insert(stream, usage)),
            None => drop(seen.remove(stream)),
        }
    }
}

pub(super) fn show(meter: &Meter, seen: &Shared<Seen>) {
    let gauge = |name, what, unit, of: fn(&StreamUsage) -> Option<u64>| {
        let seen = seen.clone();
        meter
            .u64_observable_gauge(name)
            .with_description(what)
            .with_unit(unit)
            .with_callback(move |observer| {
                for (stream, usage) in &*seen.lock() {
                    if let Some(value) = of(usage) {
                        observer.observe(value, &[KeyValue::new("stream", *stream)]);
                    }
                }
            })
            .build();
    };
    gauge("wegweiser_stream_messages", "Messages that a stream keeps.", "", |usage| {
        Some(usage.messages)
    });
    gauge("wegweiser_stream_bytes", "What they take on disk.", "By", |usage| Some(usage.bytes));
    gauge("wegweiser_stream_limit_bytes", "What they may take on disk.", "By", |usage| {
        usage.limit_bytes
    });
}
