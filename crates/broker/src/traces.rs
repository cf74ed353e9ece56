//! Spans of what is done with messages, by OpenTelemetry's conventions for messaging.
//!
//! Promises: a span is named by its operation and the form of its subjects, never by a device; a
//! message carries a `traceparent` only where its trace is recorded.

use async_nats::HeaderMap;
use runtime::trace::{KeyValue, Span, SpanBuilder, SpanKind, TRACEPARENT};

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
