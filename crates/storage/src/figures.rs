//! Figures of a program's connections to Postgres.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::{PoolUse, Records};

/// Shows how busy the pool is.
pub fn show_pool(meter: &Meter, records: &Records) {
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
