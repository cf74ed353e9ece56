//! What leaves over OTLP/HTTP, where to, and under which name: by the standard `OTEL_*` variables.
//!
//! Promises: without an endpoint nothing is built and nothing is sent. The library reads the
//! endpoint, headers, timeouts and queue bounds from their variables itself.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::periodic_reader_with_async_runtime::PeriodicReader;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;

use crate::settings::{Reader, Setting, from_environment};
use crate::trace::Sampling;

/// Where traces and metrics go.
pub(crate) const ENDPOINT: Setting = Setting {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    default: None,
    unit: "a URL such as http://localhost:4318",
    help: "Collector that takes traces and metrics over OTLP/HTTP; absent: nothing is sent. The other standard OTEL_* variables hold too (docs/tracing.md).",
};
/// Whether traces go there.
pub(crate) const TRACES: Setting = Setting {
    name: "OTEL_TRACES_EXPORTER",
    default: Some("otlp"),
    unit: "otlp or none",
    help: "Whether traces go to that collector.",
};
/// Whether metrics go there.
pub(crate) const METRICS: Setting = Setting {
    name: "OTEL_METRICS_EXPORTER",
    default: Some("otlp"),
    unit: "otlp or none",
    help: "Whether metrics go to that collector.",
};
/// What is spoken.
const PROTOCOL: Setting = Setting {
    name: "OTEL_EXPORTER_OTLP_PROTOCOL",
    default: Some("http/protobuf"),
    unit: "http/protobuf, on the port that the collector has for it (usually 4318)",
    help: "The one protocol that is spoken.",
};
const TRACES_ENDPOINT: Setting = Setting {
    name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    default: None,
    unit: "a URL",
    help: "Collector of traces, where it is another.",
};
const METRICS_ENDPOINT: Setting = Setting {
    name: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    default: None,
    unit: "a URL",
    help: "Collector of metrics, where it is another.",
};
const DISABLED: Setting = Setting {
    name: "OTEL_SDK_DISABLED",
    default: Some("false"),
    unit: "true or false",
    help: "Sends nothing, whatever else is set.",
};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OtlpSettings {
    /// `None`: no traces.
    pub(crate) traces: Option<Sampling>,
    pub(crate) metrics: bool,
    /// Nothing is counted either.
    pub(crate) disabled: bool,
}

impl OtlpSettings {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let sampling = Sampling::read(reader);
        let on = reader.one_of(&DISABLED, &["false", "true"]) == "false";
        let anywhere = reader.optional(&ENDPOINT).is_some();
        let traces = reader.one_of(&TRACES, &["otlp", "none"]) == "otlp"
            && (anywhere || reader.optional(&TRACES_ENDPOINT).is_some());
        let metrics = reader.one_of(&METRICS, &["otlp", "none"]) == "otlp"
            && (anywhere || reader.optional(&METRICS_ENDPOINT).is_some());
        if on && (traces || metrics) {
            reader.one_of(&PROTOCOL, &["http/protobuf"]);
        }
        let traces = (on && traces).then_some(sampling);
        Self { traces, metrics: on && metrics, disabled: !on }
    }
}

/// Who sends: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` stand above what we say.
pub(crate) fn resource(service: &'static str) -> Resource {
    // Replicas are told apart by it; a new run is another instance.
    let instance = format!("{:032x}", rand::random::<u128>());
    let told = Resource::builder_empty()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match from_environment("OTEL_SERVICE_NAME") {
        Some(name) => told.with_service_name(name.value).build(),
        None => told.build(),
    }
}

/// # Errors
/// The exporter cannot be built: its endpoint is no URL, for instance.
pub(crate) fn traces(resource: Resource, sampling: Sampling) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
    // The exporter's client is an async one; the default processor would run it on a bare thread.
    let spans = BatchSpanProcessor::builder(exporter, Tokio).build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(spans)
        .with_sampler(sampling.sampler())
        .with_resource(resource)
        .build();
    Ok(provider)
}

/// # Errors
/// The exporter cannot be built.
pub(crate) fn metrics() -> anyhow::Result<PeriodicReader<opentelemetry_otlp::MetricExporter>> {
    let exporter = opentelemetry_otlp::MetricExporter::builder().with_http().build()?;
    Ok(PeriodicReader::builder(exporter, Tokio).build())
}
