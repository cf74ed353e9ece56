//! Parcels: decoded metric points of one tenant that wait together until receivers have time for
//! them.
//!
//! Promises: what is read is what was packed, value and time to the last digit, under the tenant of
//! the subject. Only receivers pack, so a parcel that cannot be read is a fault of ours.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{DeviceId, MessageId, MetricPoint, Reject, TenantId, UnixMillis};

/// A metric point that waits in a parcel.
#[derive(Clone, Debug, PartialEq)]
pub struct DeferredPoint {
    /// The point.
    pub point: MetricPoint,
    /// When the broker took it.
    pub received: UnixMillis,
    /// The sender's id, where it gave one.
    pub message_id: Option<MessageId>,
}

#[derive(Serialize)]
struct Packed<'a> {
    device_uuid: DeviceId,
    metric_type: &'a str,
    value: f64,
    timestamp_ms: UnixMillis,
    received_ms: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct Unpacked<'a> {
    device_uuid: DeviceId,
    #[serde(borrow)]
    metric_type: Cow<'a, str>,
    /// As text: the reader of numbers may miss the last digit.
    #[serde(borrow)]
    value: &'a RawValue,
    timestamp_ms: UnixMillis,
    received_ms: UnixMillis,
    #[serde(borrow, default)]
    message_id: Option<Cow<'a, str>>,
}

/// Where the parcels of a tenant wait.
#[must_use]
pub fn parcel_subject(tenant: TenantId) -> String {
    format!("tenant.{tenant}.deferred.metrics")
}

/// The parcel's payload: a JSON array of points, in the order given.
#[must_use]
pub fn pack(points: &[DeferredPoint]) -> Vec<u8> {
    let packed: Vec<Packed<'_>> = points
        .iter()
        .map(|DeferredPoint { point, received, message_id }| Packed {
            device_uuid: point.device,
            metric_type: point.metric.as_str(),
            value: point.value,
            timestamp_ms: point.at,
            received_ms: *received,
            message_id: message_id.as_ref().map(MessageId::as_str),
        })
        .collect();
    // Numbers and texts have no reason to fail.
    serde_json::to_vec(&packed).unwrap_or_default()
}

/// The points of a parcel, at least one.
///
/// # Errors
/// The [`Reject`] under which it is parked.
pub fn unpack(subject: &str, payload: &[u8]) -> Result<Vec<DeferredPoint>, Reject> {
    let tokens: Vec<&str> = subject.split('.').collect();
    let ["tenant", tenant, "deferred", "metrics"] = tokens.as_slice() else {
        return Err(Reject::UnknownSubject(
            format!("{subject:?} is no subject of deferred points").into(),
        ));
    };
    let tenant: TenantId = tenant
        .parse()
        .map_err(|error: crate::IdError| Reject::UnknownSubject(error.to_string().into()))?;
    let unpacked: Vec<Unpacked<'_>> = serde_json::from_slice(payload)
        .map_err(|error| Reject::MalformedJson(error.to_string().into()))?;
    let points: Result<Vec<DeferredPoint>, Reject> =
        unpacked.into_iter().map(|one| one.point(tenant)).collect();
    let points = points?;
    if points.is_empty() {
        return Err(Reject::SchemaViolation("a parcel without points".into()));
    }
    Ok(points)
}

impl Unpacked<'_> {
    fn point(self, tenant: TenantId) -> Result<DeferredPoint, Reject> {
        let violation = |error: &dyn std::fmt::Display| {
            Reject::SchemaViolation(format!("deferred point: {error}").into())
        };
        let message_id = self.message_id.map(|id| id.parse::<MessageId>()).transpose();
        Ok(DeferredPoint {
            point: MetricPoint {
                tenant,
                device: self.device_uuid,
                metric: self.metric_type.parse().map_err(|error| {
                    let error: crate::MetricTypeError = error;
                    violation(&error)
                })?,
                at: self.timestamp_ms,
                value: self
                    .value
                    .get()
                    .parse()
                    .map_err(|error: std::num::ParseFloatError| violation(&error))?,
            },
            received: self.received_ms,
            message_id: message_id.map_err(|error| violation(&error))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "11111111-1111-4111-8111-111111111111";

    fn point(value: f64, id: Option<&str>) -> DeferredPoint {
        DeferredPoint {
            point: MetricPoint {
                tenant: T.parse().unwrap(),
                device: "22222222-2222-4222-8222-222222222222".parse().unwrap(),
                metric: "cpu_percent".parse().unwrap(),
                at: UnixMillis::new(1_790_000_000_000),
                value,
            },
            received: UnixMillis::new(1_790_000_000_007),
            message_id: id.map(|id| id.parse().unwrap()),
        }
    }

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        let values = [0.0, 0.1 + 0.2, 1e300, -1e-300, 5e-324, 122.416_294_033_786_58];
        let ids = [None, Some("session:metric:7"), Some("an\"id\\")];
        let points: Vec<DeferredPoint> =
            values.iter().flat_map(|value| ids.map(|id| point(*value, id))).collect();
        let subject = parcel_subject(T.parse().unwrap());
        assert_eq!(unpack(&subject, &pack(&points)).unwrap(), points);
    }

    #[test]
    fn what_is_no_parcel_is_refused_with_its_reason() {
        let subject = parcel_subject(T.parse().unwrap());
        for (subject, payload, code) in [
            (subject.as_str(), "[]", "schema_violation"),
            (subject.as_str(), "[{", "malformed_json"),
            ("tenant.nobody.deferred.metrics", "[]", "unknown_subject"),
            ("tenant.x.device.y.monitoring", "[]", "unknown_subject"),
        ] {
            assert_eq!(unpack(subject, payload.as_bytes()).unwrap_err().code(), code, "{payload}");
        }
    }
}
