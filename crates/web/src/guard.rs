//! What every request passes before a handler sees it.
//!
//! Promises: each answer carries the request's id; a request is bounded in length and in time.
//! Refuses, where this service tells of itself without a sign-in: a request from another machine, and
//! one that a web page of another site had a browser send here (its `Host` is not this machine).

pub(crate) mod rate;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use runtime::trace::{self, TracedSpan as _};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::problem::Problem;

/// Longest path with query; a list of devices may name 40.
const URL_MAX_BYTES: usize = 4_096;
/// Largest body of a request that has one.
const BODY_MAX_BYTES: u64 = 16 * 1024;
/// Longest id of a caller that is taken over.
const REQUEST_ID_MAX_BYTES: usize = 64;
/// Longest time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Upper bounds of the requests' durations, in seconds.
const REQUEST_SECONDS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
/// Paths that ask for no sign-in and tell of this service.
const THIS_MACHINE_ONLY: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// A browser that was here by HTTPS comes by HTTPS, for a year.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// What is no page loads nothing, and stands in no frame.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// Below it commands are given.
const COMMANDS: &str = "/v1/commands";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// How requests went: by route and status, both bounded.
pub(crate) fn requests(meter: &Meter) -> Histogram<f64> {
    meter
        .f64_histogram("wegweiser_http_request_duration_seconds")
        .with_description("Time from a request's head to the answer's.")
        .with_unit("s")
        .with_boundaries(REQUEST_SECONDS.to_vec())
        .build()
}

/// Names the request, logs how it went and counts it.
pub(crate) async fn name_and_log(
    State(requests): State<Histogram<f64>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let id = request_id(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
    let started = Instant::now();
    let trace = traced(&request, &route);
    let answering = next.run(request).instrument(span.clone());
    let mut response = answering.instrument(trace.clone()).await;
    let elapsed = started.elapsed();
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    trace.record("http.response.status_code", i64::from(status));
    if response.status().is_server_error() {
        trace.failed(response.status().as_str(), &"answered with an error");
    }
    drop(trace);
    let labels = [KeyValue::new("route", route), KeyValue::new("status", i64::from(status))];
    requests.record(elapsed.as_secs_f64(), &labels);
    span.in_scope(|| tracing::info!(%method, path, status, elapsed_ms, "answered"));
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Says to browsers what they must not do with an answer, whatever it is.
pub(crate) async fn fence(State(tls): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NO_PAGE);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    response
}

/// The span of a request, below its caller's where that one tells of it.
fn traced(request: &Request, route: &str) -> Span {
    let method = request.method().as_str();
    let span = tracing::info_span!(
        target: trace::TARGET,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        http.route = route,
        url.path = request.uri().path(),
        "error.type" = Empty,
    );
    let told = request.headers().get(trace::TRACEPARENT).and_then(|told| told.to_str().ok());
    match told.and_then(trace::origin) {
        Some(caller) => span.follows(Some(&caller)),
        // Commands are recorded whatever the ratio.
        None if request.method() == Method::POST && route.starts_with(COMMANDS) => {
            span.is_asked_for();
        }
        None => span.follows(None),
    }
    span
}

/// Refuses what is too long or not meant for us, and answers for what takes too long.
pub(crate) async fn bound(request: Request, next: Next) -> Response {
    if let Some(problem) = refusal(&request) {
        return problem.into_response();
    }
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::too_slow(ANSWER_TIMEOUT.as_secs()).into_response(),
    }
}

fn refusal(request: &Request) -> Option<Problem> {
    let length = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    if length > URL_MAX_BYTES {
        let detail = format!("path and query have {length} bytes; at most {URL_MAX_BYTES}");
        return Some(Problem::new(StatusCode::URI_TOO_LONG, "URL too long", detail));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let body_max = if reads { 0 } else { BODY_MAX_BYTES };
    if request.body().size_hint().upper().is_none_or(|bytes| bytes > body_max) {
        let detail = format!("a body may have {body_max} bytes here, and says how many it has");
        return Some(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body too large", detail));
    }
    if THIS_MACHINE_ONLY.contains(&request.uri().path()) { from_elsewhere(request) } else { None }
}

fn from_elsewhere(request: &Request) -> Option<Problem> {
    if !request.extensions().get::<Peer>().is_some_and(|Peer(peer)| peer.is_loopback()) {
        let detail = "this path has no sign-in and answers this machine only; \
                      come through an SSH tunnel";
        return Some(Problem::new(StatusCode::FORBIDDEN, "other machine", detail.to_owned()));
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_this_machine) {
        let detail = "the Host header must be localhost, 127.0.0.1 or [::1]".to_owned();
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreign host", detail));
    }
    None
}

fn is_this_machine(host: &str) -> bool {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// The caller's own id where it is a plain token, else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let given = request.headers().get(REQUEST_ID).filter(|id| {
        let bytes = id.as_bytes();
        (1..=REQUEST_ID_MAX_BYTES).contains(&bytes.len()) && bytes.iter().copied().all(plain)
    });
    match given {
        Some(id) => id.clone(),
        None => {
            let id = Uuid::now_v7().to_string();
            HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]", "[::1]:8080"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "::1:x"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
