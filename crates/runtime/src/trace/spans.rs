//! Spans of `tracing` that are spans of a trace: those with the target [`TARGET`], and no others.
//!
//! For work that has its place in the code and a scope of its own, such as a request or a command.
//! Promises: where nothing asks for traces there is no layer, and making such a span costs one load
//! of memory; none stands in a line of the log, and no filter of the log ends a trace. Refuses:
//! batches, whose sampling depends on what they link to (docs/adr/0019).

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::Worthy;

/// The target of a span of `tracing` that is meant for traces: `info_span!(target: TARGET, …)`.
///
/// Its fields are attributes; `otel.name`, `otel.kind`, `otel.status_code` and
/// `otel.status_description` set what they say.
pub const TARGET: &str = "wegweiser_trace";

/// Has those spans leave by `tracer`.
pub(crate) fn layer<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
}

/// What a span of [`TARGET`] is told before it is entered, and of what came of it.
pub trait TracedSpan {
    /// It goes on with the trace of `origin`; without one it begins a trace of its own.
    fn follows(&self, origin: Option<&SpanContext>);

    /// It begins the trace of what a person asked for; ratios do not leave it out.
    fn is_asked_for(&self);

    /// What it is called is known only now.
    fn is_called(&self, name: String);

    /// It came to nothing: `kind` is one word of few, `why` a sentence. It has the fields
    /// `error.type`, `otel.status_code` and `otel.status_description`.
    fn failed(&self, kind: &str, why: &dyn std::fmt::Display);
}

impl TracedSpan for tracing::Span {
    fn follows(&self, origin: Option<&SpanContext>) {
        let parent = Context::new();
        let parent = match origin {
            Some(origin) => parent.with_remote_span_context(origin.clone()),
            None => parent,
        };
        // Where nothing is traced there is nothing to tell.
        let _ = self.set_parent(parent);
    }

    fn is_asked_for(&self) {
        let _ = self.set_parent(Context::new().with_value(Worthy));
    }

    fn is_called(&self, name: String) {
        // A field named `otel.name` counts at the beginning only.
        self.context().span().update_name(name);
    }

    fn failed(&self, kind: &str, why: &dyn std::fmt::Display) {
        self.record("error.type", kind);
        self.record("otel.status_code", "ERROR");
        self.record("otel.status_description", tracing::field::display(why));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::logs::parse;

    fn text() -> String {
        unreachable!("traces are off")
    }

    #[test]
    fn without_the_layer_no_span_is_made_whatever_is_logged() {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        let lines = lines.with_filter(parse("trace").unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let span = tracing::info_span!(target: TARGET, "work", otel.name = text());
            assert!(span.is_disabled());
            span.follows(None);
            span.is_called("other work".to_owned());
            span.failed("none", &"nobody hears it");
        });
    }
}
