//! Traces: one piece of work across processes, as spans that leave over OTLP.
//!
//! Promises: where nothing asks for traces, what is called here costs one load of memory; below a
//! root that is not recorded nothing is built at all. A span ends when it is dropped. Refuses: to
//! believe a trace that is told from outside in anything but where a span belongs.
//!
//! Spans here are made one by one: a batch links to the messages that it is made of, and whether it
//! is recorded depends on them, before anything of it is written down (docs/adr/0019). Work with a
//! scope of its own has spans of `tracing` ([`TracedSpan`]); each is the parent of what the other makes
//! within it.

mod sampling;
mod spans;

use std::sync::OnceLock;

use opentelemetry::Context;
pub use opentelemetry::KeyValue;
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
pub use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind};
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
pub(crate) use sampling::{RATIO, SAMPLER, Sampling, Worthy};
pub(crate) use spans::layer;
pub use spans::{TARGET, TracedSpan};

/// The header in which a message or a request tells of the span that made it (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";
/// Length of one; what is longer is of a later version and not known here.
const TRACEPARENT_BYTES: usize = 55;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From now on spans are made. Once a process.
pub(crate) fn switch_on(tracer: SdkTracer) {
    // A second one finds the first at work, which is as good.
    let _ = TRACER.set(tracer);
}

/// Whether any trace can be recorded.
#[must_use]
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// A span that is recorded, or nothing. Ends when it is dropped.
#[derive(Debug, Default)]
#[must_use]
pub struct Span(Option<Context>);

/// Begins a trace, if the sampler takes it.
pub fn root(builder: impl FnOnce() -> SpanBuilder) -> Span {
    TRACER.get().map_or_else(Span::default, |tracer| begin(tracer, builder(), &Context::new()))
}

/// Goes on with the trace of `origin`, which another process or another time began.
pub fn after(origin: &SpanContext, builder: impl FnOnce() -> SpanBuilder) -> Span {
    let Some(tracer) = TRACER.get() else { return Span::default() };
    begin(tracer, builder(), &Context::new().with_remote_span_context(origin.clone()))
}

/// Begins a span below the current one; nothing, where the current one is not recorded.
pub fn child(builder: impl FnOnce() -> SpanBuilder) -> Span {
    let Some(tracer) = TRACER.get() else { return Span::default() };
    Context::map_current(|current| {
        if !current.span().span_context().is_sampled() {
            return Span::default();
        }
        begin(tracer, builder(), current)
    })
}

fn begin(tracer: &SdkTracer, builder: SpanBuilder, parent: &Context) -> Span {
    let span = parent.with_span(builder.start_with_context(tracer, parent));
    Span(span.span().span_context().is_sampled().then_some(span))
}

/// Where the current span belongs, for what goes on with it later; `None`: it is not recorded.
#[must_use]
pub fn current() -> Option<SpanContext> {
    TRACER.get()?;
    Context::map_current(|current| {
        let origin = current.span().span_context().clone();
        origin.is_sampled().then_some(origin)
    })
}

/// What a message or request tells of the current span; `None` where it is not recorded.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    current().as_ref().map(told_of)
}

fn told_of(origin: &SpanContext) -> String {
    let flags = origin.trace_flags().to_u8();
    format!("00-{}-{}-{flags:02x}", origin.trace_id(), origin.span_id())
}

/// Reads a `traceparent`, which anybody may have written; `None` where nothing is traced here, or it
/// is none.
#[must_use]
pub fn origin(traceparent: &str) -> Option<SpanContext> {
    TRACER.get()?;
    if traceparent.len() != TRACEPARENT_BYTES {
        return None;
    }
    let told =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &One(traceparent));
    let origin = told.span().span_context().clone();
    origin.is_valid().then_some(origin)
}

/// The one header of an origin.
struct One<'a>(&'a str);

impl Extractor for One<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

impl Span {
    /// Begins a span below this one; nothing, where this one is not recorded.
    pub fn below(&self, builder: impl FnOnce() -> SpanBuilder) -> Self {
        let (Some(tracer), Some(parent)) = (TRACER.get(), &self.0) else { return Self::default() };
        begin(tracer, builder(), parent)
    }

    /// Does `work` with this span as the current one.
    pub async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(span) => work.with_context(span.clone()).await,
            None => work.await,
        }
    }

    /// What a message or request tells of this span; `None` where it is not recorded.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.origin().as_ref().map(told_of)
    }

    /// Where it belongs; `None` where it is not recorded.
    #[must_use]
    pub fn origin(&self) -> Option<SpanContext> {
        self.0.as_ref().map(|span| span.span().span_context().clone())
    }

    /// Whether it is recorded.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// Adds what was not known at its beginning.
    pub fn note(&self, attribute: impl FnOnce() -> KeyValue) {
        if let Some(span) = &self.0 {
            span.span().set_attribute(attribute());
        }
    }

    /// It came to nothing: `kind` is one word of few, `why` a sentence.
    pub fn failed(&self, kind: &str, why: &dyn std::fmt::Display) {
        if let Some(span) = &self.0 {
            span.span().set_attribute(KeyValue::new("error.type", kind.to_owned()));
            span.span().set_status(Status::error(why.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_tracer_nothing_is_built_and_nothing_told() {
        let span = root(|| unreachable!("traces are off"));
        assert!(!is_on() && span.traceparent().is_none());
        assert!(origin("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").is_none());
        span.failed("none", &"nobody hears it");
    }
}
