//! What this process stands on: its connections, and until when they may be made.

use std::time::Duration;

use broker::{Broker, BrokerSettings, expiry};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use protocol::UnixMillis;
use storage::{PoolUse, Records};
use tokio::time::Instant;

use super::{Shared, answer};

/// A certificate changes seldom, and each look is a connection.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(600);

/// When the connection's credential and the broker's certificate end.
#[derive(Clone, Copy, Default)]
pub(super) struct Ends {
    credential: Option<UnixMillis>,
    certificate: Option<UnixMillis>,
    looked_at_certificate: Option<Instant>,
}

pub(super) async fn look(ends: &Shared<Ends>, reached: &BrokerSettings) {
    let credential = expiry::credential(reached);
    let looked = ends.lock().looked_at_certificate;
    ends.lock().credential = credential;
    if looked.is_some_and(|looked| looked.elapsed() < CERTIFICATE_EVERY) {
        return;
    }
    let certificate = answer("the broker's certificate", expiry::certificate(reached)).await;
    let looked_at_certificate = certificate.is_some().then(Instant::now);
    *ends.lock() = Ends { credential, certificate: certificate.flatten(), looked_at_certificate };
}

pub(super) fn show(meter: &Meter, broker: &Broker, records: &Records, ends: &Shared<Ends>) {
    let connections = broker.connections();
    meter
        .u64_observable_counter("wegweiser_broker_reconnects_total")
        .with_description("Connections to the broker that were made again.")
        .with_callback(move |observer| {
            observer.observe(connections.borrow().saturating_sub(1), &[]);
        })
        .build();
    let counting = |name, what, count: fn(&Broker) -> u64| {
        let broker = broker.clone();
        meter
            .u64_observable_counter(name)
            .with_description(what)
            .with_callback(move |observer| observer.observe(count(&broker), &[]))
            .build();
    };
    counting(
        "wegweiser_permission_violations_total",
        "Subjects that the broker refused to this process.",
        Broker::permission_violations,
    );
    counting(
        "wegweiser_jetstream_errors_total",
        "Requests that JetStream answered with an error.",
        Broker::jetstream_errors,
    );
    show_pool(meter, records);
    let ending = |name, what, of: fn(&Ends) -> Option<UnixMillis>| {
        let ends = ends.clone();
        meter
            .i64_observable_gauge(name)
            .with_description(what)
            .with_unit("s")
            .with_callback(move |observer| {
                if let Some(end) = of(&ends.lock()) {
                    observer.observe(end.get() / 1_000, &[]);
                }
            })
            .build();
    };
    ending(
        "wegweiser_credential_expires_timestamp_seconds",
        "When this process's broker credential ends; absent where it never does.",
        |ends| ends.credential,
    );
    ending(
        "wegweiser_broker_certificate_expires_timestamp_seconds",
        "When the broker's certificate ends; absent where it has none.",
        |ends| ends.certificate,
    );
}

fn show_pool(meter: &Meter, records: &Records) {
    let observed = records.clone();
    meter
        .u64_observable_gauge("wegweiser_postgres_connections")
        .with_description("Connections of the pool, by what they do.")
        .with_callback(move |observer| {
            let PoolUse { in_use, open, .. } = observed.pool_use();
            for (state, count) in [("in_use", in_use), ("idle", open.saturating_sub(in_use))] {
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                observer.observe(count, &[KeyValue::new("state", state)]);
            }
        })
        .build();
    let whole = |name, what, of: fn(PoolUse) -> usize| {
        let records = records.clone();
        meter
            .u64_observable_gauge(name)
            .with_description(what)
            .with_callback(move |observer| {
                observer.observe(u64::try_from(of(records.pool_use())).unwrap_or(u64::MAX), &[]);
            })
            .build();
    };
    whole("wegweiser_postgres_connections_limit", "Most connections of the pool.", |pool| {
        pool.most
    });
    whole("wegweiser_postgres_waiting", "Requests that wait for a connection.", |pool| {
        pool.waiting
    });
}
