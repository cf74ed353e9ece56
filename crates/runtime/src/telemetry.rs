//! Logs to standard error, human or JSON; traces over OTLP where the standard variables ask.
//!
//! Promises: without `OTEL_EXPORTER_OTLP_ENDPOINT` nothing is built and nothing is sent.

use std::io::IsTerminal as _;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::settings::{Reader, Setting};

/// What is logged.
pub const LOG: Setting = Setting {
    name: "WEGWEISER_LOG",
    // The broker's client repeats what our own lines say.
    default: Some("info,async_nats=warn"),
    unit: "a filter such as info or receiver=debug,info",
    help: "What is logged to standard error.",
};
/// How it is logged.
pub const LOG_FORMAT: Setting = Setting {
    name: "WEGWEISER_LOG_FORMAT",
    default: Some("human"),
    unit: "human or json",
    help: "Form of a log line.",
};
/// Where traces and metrics go.
pub const OTLP_ENDPOINT: Setting = Setting {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    default: None,
    unit: "a URL such as http://localhost:4318",
    help: "Collector that takes traces, and the metrics of receiver and web, over OTLP/HTTP; absent: nothing is sent. The other standard OTEL_* variables hold too.",
};
/// How long the last spans may take to leave when the process ends.
const LAST_SPANS_WITHIN: Duration = Duration::from_secs(2);

/// Every setting of this module.
pub const SETTINGS: &[Setting] = &[LOG, LOG_FORMAT, OTLP_ENDPOINT];

/// How to log and trace.
#[derive(Debug, PartialEq, Eq)]
pub struct TelemetrySettings {
    filter: String,
    json: bool,
    otlp: bool,
}

impl TelemetrySettings {
    /// Reads [`SETTINGS`].
    pub fn read(reader: &mut Reader) -> Self {
        let filter = reader.text(&LOG);
        if let Err(error) = EnvFilter::try_new(&filter) {
            reader.mistake(&LOG, format!("is {filter:?}: {error}; give {}", LOG.unit));
        }
        Self {
            filter,
            json: reader.one_of(&LOG_FORMAT, &["human", "json"]) == "json",
            otlp: reader.optional(&OTLP_ENDPOINT).is_some(),
        }
    }

    /// Whether a collector takes traces and metrics.
    pub(crate) const fn otlp(&self) -> bool {
        self.otlp
    }
}

/// Flushes what is still to be sent when dropped.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let Some(provider) = self.traces.take() else { return };
        // The last spans leave through the async runtime, so the wait for them is elsewhere and
        // bounded. The process ends; there is nobody left to tell how it went.
        let (done, finished) = std::sync::mpsc::sync_channel(1);
        let pushing = move || done.send(provider.shutdown());
        if std::thread::Builder::new().spawn(pushing).is_ok() {
            let _ = finished.recv_timeout(LAST_SPANS_WITHIN);
        }
    }
}

/// Starts logging and, where asked for, tracing. Call once.
///
/// # Errors
/// Logging was started before, or the OTLP exporter cannot be built.
pub fn start(service: &'static str, settings: &TelemetrySettings) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&settings.filter)?;
    let colours = std::io::stderr().is_terminal();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let format =
        if settings.json { format.json().flatten_event(true).boxed() } else { format.boxed() };
    let traces = if settings.otlp { Some(tracer(service)?) } else { None };
    let spans = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
    tracing_subscriber::registry().with(filter).with(format).with(spans).try_init()?;
    Ok(Telemetry { traces })
}

fn tracer(service: &'static str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
    let resource = Resource::builder().with_service_name(service).build();
    // The exporter's client is an async one; the default processor would run it on a bare thread.
    let spans = BatchSpanProcessor::builder(exporter, Tokio).build();
    let provider =
        SdkTracerProvider::builder().with_span_processor(spans).with_resource(resource).build();
    Ok(provider)
}
