//! The trace of a batch: received, processed, settled, with a link to each message's own trace.
//!
//! Promises: where traces are off a batch costs one load of memory; links are bounded. A batch whose
//! messages all belong to one trace, such as a single message, goes on in it; any other has a trace
//! of its own, recorded if one of its messages is.

use std::time::SystemTime;

use broker::{Delivery, Operation};
use runtime::trace::{self, KeyValue, Link, Span, SpanContext};

use crate::hold::Origin;

/// Most messages that a batch links to.
const LINKS_MAX: usize = 64;

/// What a batch is made of, as far as traces go.
struct Origins {
    /// Of its messages, those that are recorded.
    links: Vec<Link>,
    /// Where the one trace goes on that all of them belong to.
    shared: Option<SpanContext>,
}

/// The span of what is done with a batch; it is over when that is.
pub(crate) fn batch(of: Origin, deliveries: &[Delivery]) -> Span {
    if !trace::is_on() {
        return Span::default();
    }
    let Some(first) = deliveries.first() else { return Span::default() };
    let Origins { links, shared } = origins(deliveries);
    let template = template(of.stream);
    let received = || {
        let waited = SystemTime::now().checked_sub(first.arrived().elapsed());
        Operation::Receive
            .span(template, attributes(of, deliveries.len()))
            .with_start_time(waited.unwrap_or(SystemTime::UNIX_EPOCH))
            .with_links(links.clone())
    };
    let received = match shared {
        Some(origin) => trace::after(&origin, received),
        None => trace::root(received),
    };
    received.below(|| {
        Operation::Process.span(template, attributes(of, deliveries.len())).with_links(links)
    })
}

/// The span of acknowledging and parking what a batch came to.
pub(crate) fn settling(of: Origin, messages: usize) -> Span {
    trace::child(|| Operation::Settle.span(template(of.stream), attributes(of, messages)))
}

fn attributes(of: Origin, messages: usize) -> Vec<KeyValue> {
    let messages = i64::try_from(messages).unwrap_or(i64::MAX);
    vec![
        KeyValue::new("messaging.consumer.group.name", of.consumer),
        KeyValue::new("messaging.batch.message_count", messages),
        KeyValue::new("wegweiser.stream", of.stream),
    ]
}

fn origins(deliveries: &[Delivery]) -> Origins {
    let (mut links, mut shared) = (Vec::new(), None);
    let mut one_trace = true;
    for delivery in deliveries {
        let Some(origin) = delivery.trace_origin() else {
            one_trace = false;
            continue;
        };
        let first = shared.get_or_insert_with(|| origin.clone());
        one_trace &= first.trace_id() == origin.trace_id();
        if origin.is_sampled() && links.len() < LINKS_MAX {
            links.push(Link::with_context(origin));
        }
        if links.len() == LINKS_MAX {
            // The others would neither be linked to nor change that it is recorded.
            one_trace = false;
            break;
        }
    }
    Origins { links, shared: shared.filter(|_| one_trace) }
}

/// The form of the subjects of a stream's messages.
fn template(stream: &str) -> &'static str {
    match stream {
        "METRICS" => "tenant.{tenant}.demo.system.{device}.{metric_type}",
        "METRICS_DEFERRED" => "tenant.{tenant}.deferred.metrics",
        "HEARTBEATS" => protocol::Kind::Heartbeat.template(),
        "MONITORING" => protocol::Kind::Monitoring.template(),
        "RESPONSES" => protocol::Kind::Response.template(),
        _ => "$JS.EVENT.ADVISORY.CONSUMER",
    }
}
