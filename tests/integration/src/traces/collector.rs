//! A collector of traces: takes what programs send over OTLP/HTTP, and keeps it to be looked at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span as Sent, status};
use prost::Message as _;
use tokio::task::JoinHandle;

/// More than one export can have.
const EXPORT_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A span as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    /// As in the protocol: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub(crate) kind: i32,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty: a root.
    pub(crate) parent: String,
    /// Trace and span of each link.
    pub(crate) links: Vec<(String, String)>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// In nanoseconds since 1970.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) failed: bool,
}

type Spans = Arc<Mutex<Vec<Span>>>;

/// Listens until it is dropped.
pub(crate) struct Collector {
    port: u16,
    spans: Spans,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Collector {
    pub(crate) async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let spans = Spans::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .layer(DefaultBodyLimit::max(EXPORT_MAX_BYTES))
            .with_state(Arc::clone(&spans));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { port, spans, serving })
    }

    /// What a program is told, so that every trace comes here.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            text("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://127.0.0.1:{}", self.port)),
            text("OTEL_METRICS_EXPORTER", "none"),
            text("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
            // In milliseconds: how long spans are gathered before they are sent.
            text("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn take(State(spans): State<Spans>, body: Bytes) -> StatusCode {
    let Ok(export) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut taken = Vec::new();
    for of_resource in export.resource_spans {
        let resource = of_resource.resource.map(|resource| texts(resource.attributes));
        let service = resource.and_then(|mut told| told.remove("service.name")).unwrap_or_default();
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        taken.extend(spans.map(|span| read(&service, span)));
    }
    spans.lock().unwrap_or_else(PoisonError::into_inner).extend(taken);
    StatusCode::OK
}

fn read(service: &str, span: Sent) -> Span {
    let links = span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id)));
    Span {
        service: service.to_owned(),
        kind: span.kind,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: links.collect(),
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        failed: span.status.is_some_and(|told| told.code == status::StatusCode::Error as i32),
        attributes: texts(span.attributes),
        name: span.name,
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|told| (told.key, text(told.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(yes)) => yes.to_string(),
        _ => String::new(),
    }
}
