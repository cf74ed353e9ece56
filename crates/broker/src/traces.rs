//! Spans of what is done with messages, by OpenTelemetry's conventions for messaging.
//!
//! Promises: a span is named by its operation and the form of its subjects, never by a device; a
//! message carries a `traceparent` only where its trace is recorded.

use async_nats::HeaderMap;
use protocol::{CommandId, Kind};
use runtime::trace::{
    KeyValue, Span, SpanBuilder, SpanContext, SpanKind, TARGET, TRACEPARENT, TracedSpan as _,
};
use tracing::field::Empty;

/// What is done with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// One is published, until its stream has it.
    Send,
    /// A batch is taken from its consumer.
    Receive,
    /// A batch is decoded and written.
    Process,
    /// A batch is acknowledged, or parked.
    Settle,
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Process => "process",
            Self::Settle => "settle",
        }
    }

    const fn kind(self) -> SpanKind {
        match self {
            Self::Send => SpanKind::Producer,
            Self::Process => SpanKind::Consumer,
            Self::Receive | Self::Settle => SpanKind::Client,
        }
    }

    /// A span of this operation on messages whose subjects have the form `template`.
    #[must_use]
    pub fn span(self, template: &'static str, more: Vec<KeyValue>) -> SpanBuilder {
        let name = self.name();
        let mut attributes = vec![
            KeyValue::new("messaging.system", "nats"),
            KeyValue::new("messaging.operation.name", name),
            KeyValue::new("messaging.operation.type", name),
            KeyValue::new("messaging.destination.template", template),
        ];
        attributes.extend(more);
        SpanBuilder::from_name(format!("{name} {template}"))
            .with_kind(self.kind())
            .with_attributes(attributes)
    }
}

/// A span of what is done with one command's message; it goes on with the trace of `origin`.
pub(crate) fn command(
    operation: Operation,
    origin: Option<&SpanContext>,
    (subject, id, bytes): (&str, &str, usize),
) -> tracing::Span {
    let (name, template) = (operation.name(), Kind::Command.template());
    let kind = if operation == Operation::Send { "producer" } else { "consumer" };
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "message",
        otel.name = format!("{name} {template}"),
        otel.kind = kind,
        otel.status_code = Empty,
        otel.status_description = Empty,
        messaging.system = "nats",
        messaging.operation.name = name,
        "messaging.operation.type" = name,
        messaging.destination.name = subject,
        messaging.destination.template = template,
        messaging.message.id = id,
        messaging.message.body.size = i64::try_from(bytes).unwrap_or(i64::MAX),
        "error.type" = Empty,
    );
    span.follows(origin);
    span
}

/// A span of carrying a command out; what is told of it meanwhile stands below.
pub(crate) fn execution(id: CommandId, origin: Option<&SpanContext>) -> tracing::Span {
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "execute",
        otel.name = "execute command",
        otel.kind = "internal",
        wegweiser.command.id = %id,
        wegweiser.command.kind = Empty,
        wegweiser.command.outcome = Empty,
    );
    span.follows(origin);
    span
}

/// A span of one message on its way into its stream.
pub(crate) fn send(template: &'static str, subject: &str, id: &str, bytes: usize) -> SpanBuilder {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let more = vec![
        KeyValue::new("messaging.destination.name", subject.to_owned()),
        KeyValue::new("messaging.message.id", id.to_owned()),
        KeyValue::new("messaging.message.body.size", bytes),
    ];
    Operation::Send.span(template, more)
}

/// Lets a message tell of the span that sends it.
pub(crate) fn tell(span: &Span, headers: &mut HeaderMap) {
    if let Some(traceparent) = span.traceparent() {
        headers.insert(TRACEPARENT, traceparent.as_str());
    }
}
