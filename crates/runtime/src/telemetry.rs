//! Logs, and traces over OTLP where the standard variables ask: what a process tells of its work.
//!
//! Promises: without `OTEL_EXPORTER_OTLP_ENDPOINT` nothing is built and nothing is sent.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::logs::{self, LogFilter, LogSettings, Logs};
use crate::otlp::{self, OtlpSettings};
use crate::settings::{Reader, Setting};
use crate::trace::{self, RATIO, SAMPLER};

/// How long the last spans may take to leave when the process ends.
const LAST_SPANS_WITHIN: Duration = Duration::from_secs(2);

/// Every setting of this module.
pub const SETTINGS: &[Setting] = &[
    logs::LOG,
    logs::LOG_FORMAT,
    logs::LOG_FILTER_FILE,
    logs::LOG_FILE,
    logs::LOG_ROTATION,
    logs::LOG_FILES_KEPT,
    logs::LOG_BURST,
    otlp::ENDPOINT,
    otlp::TRACES,
    otlp::METRICS,
    SAMPLER,
    RATIO,
];

/// How to log and trace.
#[derive(Debug, PartialEq)]
pub struct TelemetrySettings {
    logs: LogSettings,
    otlp: OtlpSettings,
}

impl TelemetrySettings {
    /// Reads [`SETTINGS`].
    pub fn read(reader: &mut Reader) -> Self {
        Self { logs: LogSettings::read(reader), otlp: OtlpSettings::read(reader) }
    }

    /// What is logged.
    #[must_use]
    pub fn log_filter(&self) -> &str {
        &self.logs.filter
    }

    /// Whether only what is logged differs, which can change while the program runs.
    #[must_use]
    pub fn differs_in_filter_only(&self, other: &Self) -> bool {
        let mut same = other.logs.clone();
        self.logs.filter.clone_into(&mut same.filter);
        self.logs == same && self.otlp == other.otlp
    }

    /// The same for a program whose answer is what it prints; `logs`: it logs all the same.
    #[must_use]
    pub fn of_a_verb(mut self, logs: bool) -> Self {
        if !logs {
            "off".clone_into(&mut self.logs.filter);
        }
        self.logs.filter_file = None;
        self
    }

    /// Whether figures are counted at all.
    pub(crate) const fn counts(&self) -> bool {
        !self.otlp.disabled
    }

    /// Whether a collector takes metrics.
    #[must_use]
    pub const fn pushes_metrics(&self) -> bool {
        self.otlp.metrics
    }

    /// Whether a collector takes traces.
    #[must_use]
    pub const fn traces(&self) -> bool {
        self.otlp.traces.is_some()
    }
}

/// What is under way between this process and its readers.
#[derive(Debug)]
pub struct Telemetry {
    logs: Logs,
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Changes what is logged.
    #[must_use]
    pub fn log_filter(&self) -> LogFilter {
        self.logs.filter.clone()
    }

    /// Tells the last there is to tell, for a bounded time.
    pub async fn finish(self) {
        if let Some(provider) = self.traces {
            // The library waits for its exporter by blocking a thread.
            let last_spans = tokio::task::spawn_blocking(move || provider.shutdown());
            match tokio::time::timeout(LAST_SPANS_WITHIN, last_spans).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans were not sent"),
                Ok(Err(_)) | Err(_) => tracing::warn!("the last spans were not sent in time"),
            }
        }
        self.logs.finish().await;
    }
}

/// Starts logging and, where asked for, tracing. Call once, within tokio.
///
/// # Errors
/// Logging was started before, its file cannot be written, or the OTLP exporter cannot be built.
pub fn start(service: &'static str, settings: &TelemetrySettings) -> anyhow::Result<Telemetry> {
    let Some(sampling) = settings.otlp.traces else {
        return Ok(Telemetry { logs: logs::start(&settings.logs, None)?, traces: None });
    };
    let provider = otlp::traces(otlp::resource(service), sampling)?;
    let tracer = provider.tracer("wegweiser");
    let logs = logs::start(&settings.logs, Some(tracer.clone()))?;
    trace::switch_on(tracer);
    Ok(Telemetry { logs, traces: Some(provider) })
}
