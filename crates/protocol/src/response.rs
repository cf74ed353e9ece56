//! Responses: a device's answers to commands.

use serde_json::{Map, Value};

use crate::wire::{self, Normalised, json_text};
use crate::{DeviceId, DeviceSubject, Reject, TenantId, UnixMillis};

/// How a command went, as its device says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseStatus {
    /// It did what was asked.
    Success,
    /// It did not, and says why.
    Error,
}

impl ResponseStatus {
    /// The word on the wire and in the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

/// One answer of a device to one command.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandResponse {
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// When it answered, by the device's clock.
    pub at: UnixMillis,
    /// Which command; the first generation may use any text.
    pub command_id: Box<str>,
    /// How it went.
    pub status: ResponseStatus,
    /// The response as JSON text, without an envelope.
    pub response: Box<str>,
}

impl CommandResponse {
    /// Takes `{command_id, result: {command_id, status, …}}` and `{command_id, status, …}`.
    pub(crate) fn from_wire(subject: &DeviceSubject, wire: Normalised) -> Result<Self, Reject> {
        let Normalised { body, at, .. } = wire;
        let nested = body.get("result").and_then(Value::as_object);
        let command_id = command_id(&body, nested)?;
        let status = status(&body, nested)?;
        Ok(Self {
            tenant: subject.tenant(),
            device: subject.device(),
            at,
            command_id,
            status,
            response: json_text(body),
        })
    }
}

type Object = Map<String, Value>;

fn command_id(body: &Object, nested: Option<&Object>) -> Result<Box<str>, Reject> {
    let outer = wire::text(body, "command_id")?;
    let inner = nested.map(|result| wire::text(result, "command_id")).transpose()?.flatten();
    match (outer, inner) {
        (Some(outer), Some(inner)) if outer != inner => Err(Reject::SchemaViolation(
            format!("field command_id is {outer:?} but result.command_id is {inner:?}").into(),
        )),
        (Some(id), _) | (None, Some(id)) if !id.is_empty() => Ok(id),
        _ => Err(Reject::SchemaViolation(
            "field command_id is missing; a response names its command".into(),
        )),
    }
}

fn status(body: &Object, nested: Option<&Object>) -> Result<ResponseStatus, Reject> {
    let value = nested.and_then(|result| result.get("status")).or_else(|| body.get("status"));
    match value {
        Some(Value::String(word)) if word == "success" => Ok(ResponseStatus::Success),
        Some(Value::String(word)) if word == "error" => Ok(ResponseStatus::Error),
        None if has(body, nested, "error") => Ok(ResponseStatus::Error),
        None if has(body, nested, "result") => Ok(ResponseStatus::Success),
        None => Err(Reject::SchemaViolation(
            "field status is missing; give \"success\" or \"error\"".into(),
        )),
        Some(other) => Err(Reject::SchemaViolation(
            format!("field status is {other}; give \"success\" or \"error\"").into(),
        )),
    }
}

fn has(body: &Object, nested: Option<&Object>, field: &str) -> bool {
    nested.is_some_and(|result| result.contains_key(field)) || body.contains_key(field)
}
