//! Figures about this process: recorded once, pulled at `/metrics` by Prometheus and, where the
//! standard variables ask, pushed over OTLP.
//!
//! Promises: a name in the code is the name on the page. Refuses: to be a place for labels without
//! a bound; no tenant, no device, no text of a message.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

use crate::otlp;
use crate::telemetry::TelemetrySettings;

/// Content type of [`Metrics::page`] (Prometheus' text format).
pub const PAGE_TYPE: &str = prometheus::TEXT_FORMAT;

/// Longest wait for a collector at the end of the process.
const LAST_PUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The figures of this process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
}

/// Starts collecting figures. Call once, within tokio.
///
/// # Errors
/// The OTLP exporter cannot be built.
pub fn start(
    program: &'static str,
    version: &'static str,
    settings: &TelemetrySettings,
) -> anyhow::Result<Metrics> {
    let registry = Registry::new();
    // Instruments carry their full names, so that a search for one finds its place in the code.
    let pulled = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .without_units()
        .without_counter_suffixes()
        .without_target_info()
        .scope_info_enabled(false)
        .build()?;
    let mut provider = SdkMeterProvider::builder();
    if settings.counts() {
        provider = provider.with_reader(pulled);
    }
    if settings.pushes_metrics() {
        provider = provider.with_resource(otlp::resource(program)).with_reader(otlp::metrics()?);
    }
    let metrics = Metrics { provider: provider.build(), registry };
    metrics
        .meter()
        .u64_gauge("wegweiser_build_info")
        .with_description("Always 1; the labels tell which program of which version this is.")
        .build()
        .record(1, &[KeyValue::new("program", program), KeyValue::new("version", version)]);
    Ok(metrics)
}

impl Metrics {
    /// Where instruments are made. Names start with `wegweiser_` and follow Prometheus: units at
    /// the end, in base units, `_total` for what only grows.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.provider.meter("wegweiser")
    }

    /// Every figure as it stands, in the form that Prometheus reads.
    ///
    /// # Errors
    /// A figure has no valid form.
    pub fn page(&self) -> anyhow::Result<String> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }

    /// Pushes the last figures, where they are pushed, and collects no more.
    pub async fn finish(self) {
        // The library waits for its exporter by blocking a thread.
        let last_push = tokio::task::spawn_blocking(move || self.provider.shutdown());
        match tokio::time::timeout(LAST_PUSH_TIMEOUT, last_push).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last figures were not pushed"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last figures were not pushed in time"),
        }
    }
}
