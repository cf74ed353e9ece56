//! The shapes that agents send, brought to one: the only place that knows first-generation habits.
//!
//! Taken: `timestamp` beside `timestamp_ms`; times in seconds, with fractions, or as digits in a
//! string; absent times (the broker's is used); the six-field envelope
//! `{tenant_uuid, device_uuid, message_type, payload, timestamp, message_id}` around anything.
//! Refused, with the field, the value and the remedy: everything else.

use serde_json::Value;

use crate::limits::{
    TEXT_FIELD_MAX_CHARS, TIMESTAMP_AHEAD_MAX_MS, TIMESTAMP_MIN_MS, TIMESTAMP_SECONDS_BELOW,
};
use crate::{DeviceSubject, MessageId, Reject, UnixMillis};

pub(crate) type Object = serde_json::Map<String, Value>;

/// An object as text again. By the serializer: formatting for display takes three times as long.
#[expect(clippy::expect_used, reason = "its keys are texts, and writing into memory cannot fail")]
pub(crate) fn json_text(object: &Object) -> Box<str> {
    serde_json::to_string(object).expect("an object of JSON is JSON").into_boxed_str()
}

/// A JSON object whose envelope, if it had one, is off.
pub(crate) struct Normalised {
    pub(crate) body: Object,
    pub(crate) at: UnixMillis,
    pub(crate) message_id: Option<MessageId>,
}

/// Parses, unwraps, checks identity and time.
pub(crate) fn normalise(
    subject: &DeviceSubject,
    payload: &[u8],
    received: UnixMillis,
) -> Result<Normalised, Reject> {
    let parsed: Value = serde_json::from_slice(payload)
        .map_err(|error| Reject::MalformedJson(error.to_string().into()))?;
    let Value::Object(outer) = parsed else {
        return Err(Reject::SchemaViolation(
            "payload is not a JSON object; send one object a message".into(),
        ));
    };
    check_identity(subject, &outer)?;
    let (body, envelope) = open_envelope(outer)?;
    check_identity(subject, &body)?;
    let stamp = stamp_of(&body).or_else(|| envelope.as_ref().and_then(stamp_of));
    let at = match stamp {
        Some(stamp) => read_stamp(stamp, received)?,
        None => received,
    };
    let message_id = envelope.as_ref().map(envelope_message_id).transpose()?.flatten();
    Ok(Normalised { body, at, message_id })
}

/// Splits `{message_type, payload: {…}, …}` into its payload and itself.
fn open_envelope(mut outer: Object) -> Result<(Object, Option<Object>), Reject> {
    if !(outer.contains_key("message_type") && outer.contains_key("payload")) {
        return Ok((outer, None));
    }
    match outer.remove("payload") {
        Some(Value::Object(inner)) => Ok((inner, Some(outer))),
        _ => {
            Err(Reject::SchemaViolation("field payload of an envelope is not a JSON object".into()))
        }
    }
}

fn envelope_message_id(envelope: &Object) -> Result<Option<MessageId>, Reject> {
    let Some(id) = text(envelope, "message_id")? else {
        return Ok(None);
    };
    match id.parse() {
        Ok(id) => Ok(Some(id)),
        Err(error) => Err(Reject::SchemaViolation(format!("field message_id: {error}").into())),
    }
}

/// A payload may leave its identity out; it may not contradict the subject.
fn check_identity(subject: &DeviceSubject, body: &Object) -> Result<(), Reject> {
    let pairs =
        [("device_uuid", subject.device().as_uuid()), ("tenant_uuid", subject.tenant().as_uuid())];
    for (field, expected) in pairs {
        let Some(value) = body.get(field).filter(|value| !value.is_null()) else {
            continue;
        };
        let named = value.as_str().and_then(|text| uuid::Uuid::try_parse(text).ok());
        if named != Some(expected) {
            return Err(Reject::IdentityMismatch(
                format!("field {field} is {value} but the broker stamped {expected}").into(),
            ));
        }
    }
    Ok(())
}

fn stamp_of(body: &Object) -> Option<&Value> {
    let named = |field| body.get(field).filter(|value| !value.is_null());
    named("timestamp_ms").or_else(|| named("timestamp"))
}

fn read_stamp(stamp: &Value, received: UnixMillis) -> Result<UnixMillis, Reject> {
    let number = match stamp {
        Value::Number(number) => number.as_f64(),
        Value::String(digits) => digits.parse::<f64>().ok().filter(|n| n.is_finite()),
        _ => None,
    };
    match number {
        Some(number) => check_time(number, received),
        None => Err(Reject::SchemaViolation(
            format!("field timestamp_ms is {stamp}; give milliseconds since 1970 as a number")
                .into(),
        )),
    }
}

/// A time stamp in milliseconds or, below 1e11, in seconds; checked against the broker's clock.
pub(crate) fn check_time(number: f64, received: UnixMillis) -> Result<UnixMillis, Reject> {
    let milliseconds =
        if number.abs() < TIMESTAMP_SECONDS_BELOW { number * 1000.0 } else { number };
    // Saturates, and both ends are out of range below.
    #[expect(clippy::cast_possible_truncation, reason = "f64 to i64 saturates")]
    let at = UnixMillis::new(milliseconds.round() as i64);
    if at.get() < TIMESTAMP_MIN_MS {
        return Err(Reject::TimestampOutOfRange(
            format!("time stamp {number} is before the year 2000; check the device's clock").into(),
        ));
    }
    if at.since(received) > TIMESTAMP_AHEAD_MAX_MS {
        return Err(Reject::TimestampOutOfRange(
            format!(
                "time stamp {number} is more than a day ahead of the broker's {}; check the device's clock",
                received.get()
            )
            .into(),
        ));
    }
    Ok(at)
}

/// A text field; numbers are taken as their digits, since versions are sent that way too.
pub(crate) fn text(body: &Object, field: &str) -> Result<Option<Box<str>>, Reject> {
    let text = match body.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Number(number)) => number.to_string().into_boxed_str(),
        Some(_) => {
            return Err(Reject::SchemaViolation(format!("field {field} is not a text").into()));
        }
    };
    if text.chars().count() > TEXT_FIELD_MAX_CHARS {
        return Err(Reject::SchemaViolation(
            format!("field {field} is longer than {TEXT_FIELD_MAX_CHARS} characters").into(),
        ));
    }
    if text.contains('\0') {
        return Err(Reject::SchemaViolation(
            format!("field {field} contains the character U+0000, which no record can hold").into(),
        ));
    }
    Ok(Some(text))
}
