//! From subject and payload to an [`Event`], or to the reason why not.
//!
//! Promises: total (any bytes give an answer), no panic, and no allocation for a metric point in
//! the shape that current agents send.

use std::borrow::Cow;

use serde::Deserialize;
use uuid::Uuid;

use crate::limits::{
    HEARTBEAT_PAYLOAD_MAX_BYTES, METRIC_PAYLOAD_MAX_BYTES, MONITORING_PAYLOAD_MAX_BYTES,
    RESPONSE_PAYLOAD_MAX_BYTES,
};
use crate::wire::{check_time, normalise};
use crate::{
    CommandResponse, DeviceSubject, Heartbeat, Kind, MessageId, MetricPoint, MetricType,
    MonitoringReport, Reject, UnixMillis,
};

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A live metric point.
    Metric(MetricPoint),
    /// A sign of life.
    Heartbeat(Heartbeat),
    /// A full snapshot.
    Monitoring(MonitoringReport),
    /// An answer to a command.
    Response(CommandResponse),
}

/// Reads a payload that arrived on `subject` when the broker's clock said `received`.
///
/// The second value is the id inside a first-generation envelope, which counts where the message
/// has no `Nats-Msg-Id`.
///
/// # Errors
/// The [`Reject`] under which the message is parked.
pub fn decode(
    subject: &DeviceSubject,
    payload: &[u8],
    received: UnixMillis,
) -> Result<(Event, Option<MessageId>), Reject> {
    check_size(subject.kind(), payload.len())?;
    if let Kind::Metric(metric) = subject.kind()
        && let Some(point) = decode_plain_point(subject, metric, payload, received)?
    {
        return Ok((Event::Metric(point), None));
    }
    let mut wire = normalise(subject, payload, received)?;
    let message_id = wire.message_id.take();
    let event = match subject.kind() {
        Kind::Metric(metric) => Event::Metric(MetricPoint {
            tenant: subject.tenant(),
            device: subject.device(),
            metric: metric.clone(),
            at: wire.at,
            value: read_value(&wire.body, metric)?,
        }),
        Kind::Heartbeat => Event::Heartbeat(Heartbeat::from_wire(subject, wire)?),
        Kind::Monitoring => Event::Monitoring(MonitoringReport::from_wire(subject, wire)?),
        Kind::Response => Event::Response(CommandResponse::from_wire(subject, wire)?),
        Kind::Command => {
            return Err(Reject::UnknownSubject("a command is sent to a device, not by one".into()));
        }
        Kind::Renewal => {
            return Err(Reject::UnknownSubject("a renewal is answered at once, not kept".into()));
        }
    };
    Ok((event, message_id))
}

fn check_size(kind: &Kind, bytes: usize) -> Result<(), Reject> {
    let limit = match kind {
        Kind::Metric(_) => METRIC_PAYLOAD_MAX_BYTES,
        Kind::Heartbeat => HEARTBEAT_PAYLOAD_MAX_BYTES,
        Kind::Monitoring => MONITORING_PAYLOAD_MAX_BYTES,
        Kind::Response | Kind::Command | Kind::Renewal => RESPONSE_PAYLOAD_MAX_BYTES,
    };
    if bytes <= limit {
        return Ok(());
    }
    Err(Reject::Oversized(
        format!("payload has {bytes} bytes; a {} may have {limit}", kind.name()).into(),
    ))
}

/// The contract's metric payload, read without building a tree.
#[derive(Deserialize)]
struct PlainPoint<'a> {
    #[serde(borrow)]
    device_uuid: Cow<'a, str>,
    #[serde(borrow)]
    tenant_uuid: Cow<'a, str>,
    #[serde(borrow)]
    metric_type: Cow<'a, str>,
    value: f64,
    timestamp_ms: f64,
}

/// `Ok(None)`: not the plain shape, so the patient way decides.
fn decode_plain_point(
    subject: &DeviceSubject,
    metric: &MetricType,
    payload: &[u8],
    received: UnixMillis,
) -> Result<Option<MetricPoint>, Reject> {
    let Ok(plain) = serde_json::from_slice::<PlainPoint<'_>>(payload) else {
        return Ok(None);
    };
    let is = |text: &str, id: Uuid| Uuid::try_parse(text) == Ok(id);
    let same_sender = is(&plain.device_uuid, subject.device().as_uuid())
        && is(&plain.tenant_uuid, subject.tenant().as_uuid());
    if !same_sender || plain.metric_type != metric.as_str() {
        return Ok(None);
    }
    Ok(Some(MetricPoint {
        tenant: subject.tenant(),
        device: subject.device(),
        metric: metric.clone(),
        at: check_time(plain.timestamp_ms, received)?,
        value: plain.value,
    }))
}

fn read_value(
    body: &serde_json::Map<String, serde_json::Value>,
    metric: &MetricType,
) -> Result<f64, Reject> {
    if let Some(named) = body.get("metric_type").filter(|value| !value.is_null())
        && named.as_str() != Some(metric.as_str())
    {
        return Err(Reject::IdentityMismatch(
            format!("field metric_type is {named} but the subject says {metric}").into(),
        ));
    }
    let Some(value) = body.get("value") else {
        return Err(Reject::SchemaViolation("field value is missing; give a number".into()));
    };
    value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| {
        Reject::SchemaViolation(format!("field value is {value}; give a finite number").into())
    })
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
