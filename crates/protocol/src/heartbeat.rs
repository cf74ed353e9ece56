//! Heartbeats: "I am alive", with a short system summary.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::wire::{self, Normalised, json_text};
use crate::{
    DeviceId, DeviceSubject, HeartbeatStatus, Labels, Reject, SessionId, TenantId, UnixMillis,
};

/// A heartbeat as a receiver understands it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// When it was sent, by the device's clock.
    pub at: UnixMillis,
    /// The agent's run; first-generation agents may send any text.
    pub session: Option<Box<str>>,
    /// The agent's version.
    pub agent_version: Option<Box<str>>,
    /// How often this agent means to send one, in milliseconds; absent in the first generation.
    pub interval_ms: Option<u32>,
    /// What the device calls itself by; none in the first generation.
    pub labels: Labels,
    /// Everything else that it said, as JSON text: `status`, `system_info`, `capabilities`, …
    pub details: Box<str>,
}

impl Heartbeat {
    pub(crate) fn from_wire(subject: &DeviceSubject, wire: Normalised) -> Result<Self, Reject> {
        let Normalised { mut body, at, .. } = wire;
        let session = wire::text(&body, "session_id")?;
        let agent_version = wire::text(&body, "agent_version")?;
        let interval_ms = match body.get("heartbeat_interval_ms") {
            None | Some(Value::Null) => None,
            Some(value) => Some(read_interval(value)?),
        };
        let labels = match body.get("labels") {
            None | Some(Value::Null) => Labels::default(),
            Some(value) => read_labels(value)?,
        };
        for known in ["device_uuid", "tenant_uuid", "timestamp", "timestamp_ms"] {
            body.remove(known);
        }
        Ok(Self {
            tenant: subject.tenant(),
            device: subject.device(),
            at,
            session,
            agent_version,
            interval_ms,
            labels,
            details: json_text(&body),
        })
    }
}

fn read_interval(value: &Value) -> Result<u32, Reject> {
    let interval = value.as_u64().and_then(|number| u32::try_from(number).ok());
    interval.filter(|number| *number > 0).ok_or_else(|| {
        Reject::SchemaViolation(
            format!("field heartbeat_interval_ms is {value}; give whole milliseconds above 0")
                .into(),
        )
    })
}

fn read_labels(value: &Value) -> Result<Labels, Reject> {
    let problem =
        |problem: &str| Reject::SchemaViolation(format!("field labels: {problem}").into());
    let object = value.as_object().ok_or_else(|| problem("give an object of texts"))?;
    let mut labels = Labels::default();
    for (key, value) in object {
        let text = value.as_str().ok_or_else(|| problem(&format!("{key:?} is no text")))?;
        labels.set(key, text).map_err(|error| problem(&error.to_string()))?;
    }
    Ok(labels)
}

/// A heartbeat as an agent writes it.
#[derive(Debug, Serialize)]
pub struct HeartbeatBody<'a> {
    /// The device itself.
    pub device_uuid: DeviceId,
    /// Its tenant.
    pub tenant_uuid: TenantId,
    /// When it is sent.
    pub timestamp_ms: UnixMillis,
    /// This run of the agent.
    pub session_id: SessionId,
    /// The agent's version.
    pub agent_version: &'a str,
    /// How often the agent sends one, in milliseconds: it is offline after three missed.
    pub heartbeat_interval_ms: u32,
    /// The agent's own state.
    pub status: HeartbeatStatus,
    /// Platform, hostname, uptime, …
    pub system_info: &'a Map<String, Value>,
    /// What the device calls itself by.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: &'a Labels,
}
