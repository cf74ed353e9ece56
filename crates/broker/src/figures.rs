//! Figures of a program's connection to the broker, and until when it may be made.
//!
//! Promises: what is not known is absent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::metrics::Meter;
use protocol::UnixMillis;
use tokio::time::Instant;

use crate::{Broker, BrokerSettings, expiry};

/// A certificate changes seldom, and each look is a connection.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(600);

/// Shows how the connection fares.
pub fn show_connection(meter: &Meter, broker: &Broker) {
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
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    credential: Option<UnixMillis>,
    certificate: Option<UnixMillis>,
    looked_at_certificate: Option<Instant>,
}

/// When the connection's credential and the broker's certificate end; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Ends(Arc<Mutex<Seen>>);

impl Ends {
    /// Looks once; at the certificate only now and then.
    pub async fn look(&self, reached: &BrokerSettings) {
        let credential = expiry::credential(reached);
        let looked = self.lock().looked_at_certificate;
        self.lock().credential = credential;
        if looked.is_some_and(|looked| looked.elapsed() < CERTIFICATE_EVERY) {
            return;
        }
        let certificate = expiry::certificate(reached).await;
        if let Err(error) = &certificate {
            tracing::debug!(%error, "cannot be looked up");
        }
        let looked_at_certificate = certificate.is_ok().then(Instant::now);
        let certificate = certificate.ok().flatten();
        *self.lock() = Seen { credential, certificate, looked_at_certificate };
    }

    /// Shows them.
    pub fn show(&self, meter: &Meter) {
        let ending = |name, what, of: fn(&Seen) -> Option<UnixMillis>| {
            let ends = self.clone();
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

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
