//! Responses: a device's answers to commands.
//!
//! Current agents tell what happens as events: `started`, `output` as it comes, `finished`. Agents
//! of the first generation answer once, which counts as finished.

use serde_json::{Map, Value};

use crate::limits::COMMAND_REASON_MAX_CHARS;
use crate::wire::{self, Normalised, json_text};
use crate::{CommandId, DeviceId, DeviceSubject, Reject, TenantId, UnixMillis};

/// How a command goes, in the words of the first generation and one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseStatus {
    /// It did what was asked.
    Success,
    /// It did not, and says why.
    Error,
    /// It has not ended.
    Running,
}

impl ResponseStatus {
    /// The word on the wire and in the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Running => "running",
        }
    }
}

/// How a command ended, as its device says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseOutcome {
    /// It did what was asked.
    Succeeded,
    /// It did not.
    Failed,
    /// It was ended when its time was over.
    TimedOut,
    /// It was ended, or never begun, because somebody took it back.
    Cancelled,
    /// The device refused it.
    Rejected,
    /// It reached the device too late.
    Expired,
}

impl ResponseOutcome {
    /// The word on the wire and in the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// Why a command did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseReason {
    /// A code of docs/commands.md.
    pub code: Box<str>,
    /// In words, with the remedy; at most [`COMMAND_REASON_MAX_CHARS`] characters.
    pub text: Box<str>,
}

/// What a response tells of its command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseEvent {
    /// The device began with it.
    Started,
    /// A piece of its output.
    Output,
    /// The device refused another message under the command's id; the command is as it was.
    Refused {
        /// Why.
        reason: Option<ResponseReason>,
    },
    /// It ended; nothing follows.
    Finished {
        /// How.
        outcome: ResponseOutcome,
        /// Why, where it did not succeed.
        reason: Option<ResponseReason>,
    },
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
    /// How it goes.
    pub status: ResponseStatus,
    /// What it tells.
    pub event: ResponseEvent,
    /// The response as JSON text, without an envelope.
    pub response: Box<str>,
}

impl CommandResponse {
    /// Whether it tells of its command's end.
    #[must_use]
    pub const fn ends(&self) -> bool {
        matches!(self.event, ResponseEvent::Finished { .. })
    }

    /// Why the device refused a message that came as a command, if this tells of that: a code of
    /// docs/commands.md.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let reason = match &self.event {
            ResponseEvent::Started | ResponseEvent::Output => return None,
            ResponseEvent::Refused { reason } => reason,
            ResponseEvent::Finished { outcome, reason } => match outcome {
                ResponseOutcome::Rejected | ResponseOutcome::Expired => reason,
                _ => return None,
            },
        };
        reason.as_ref().map(|reason| &*reason.code)
    }

    /// Takes events, `{command_id, result: {command_id, status, …}}` and `{command_id, status, …}`.
    pub(crate) fn from_wire(subject: &DeviceSubject, wire: Normalised) -> Result<Self, Reject> {
        let Normalised { body, at, .. } = wire;
        let nested = body.get("result").and_then(Value::as_object);
        let command_id = command_id(&body, nested)?;
        let event = match wire::text(&body, "event")?.as_deref() {
            Some("started") => ResponseEvent::Started,
            Some("output") => output(&body)?,
            Some("finished") => finished(&body)?,
            Some("refused") => ResponseEvent::Refused { reason: reason(&body, None)? },
            Some(other) => {
                return Err(violation(format!(
                    "field event is {other:?}; see docs/commands.md for what a device tells"
                )));
            }
            None => answered_once(&body, nested)?,
        };
        Ok(Self {
            tenant: subject.tenant(),
            device: subject.device(),
            at,
            command_id,
            status: status_of(&event),
            event,
            response: json_text(&body),
        })
    }
}

type Object = Map<String, Value>;

fn violation(problem: String) -> Reject {
    Reject::SchemaViolation(problem.into())
}

const fn status_of(event: &ResponseEvent) -> ResponseStatus {
    match event {
        ResponseEvent::Started | ResponseEvent::Output => ResponseStatus::Running,
        ResponseEvent::Finished { outcome: ResponseOutcome::Succeeded, .. } => {
            ResponseStatus::Success
        }
        ResponseEvent::Refused { .. } | ResponseEvent::Finished { .. } => ResponseStatus::Error,
    }
}

fn command_id(body: &Object, nested: Option<&Object>) -> Result<Box<str>, Reject> {
    let outer = wire::text(body, "command_id")?;
    // An event's result is its kind's own, whatever its fields are called.
    let nested = nested.filter(|_| !body.contains_key("event"));
    let inner = nested.map(|result| wire::text(result, "command_id")).transpose()?.flatten();
    match (outer, inner) {
        (Some(outer), Some(inner)) if outer != inner => Err(violation(format!(
            "field command_id is {outer:?} but result.command_id is {inner:?}"
        ))),
        (Some(id), _) | (None, Some(id)) if !id.is_empty() => Ok(canonical(id)),
        _ => Err(violation("field command_id is missing; a response names its command".to_owned())),
    }
}

/// A UUID may be written in several ways, and one command's answers are to be found under one.
fn canonical(id: Box<str>) -> Box<str> {
    id.parse::<CommandId>().map_or(id, |id| id.to_string().into_boxed_str())
}

/// A piece of output is read in the order of its number.
fn output(body: &Object) -> Result<ResponseEvent, Reject> {
    let number = body.get("number").and_then(Value::as_u64);
    if number.is_none_or(|number| u32::try_from(number).is_err()) {
        let told = body.get("number").unwrap_or(&Value::Null);
        return Err(violation(format!("field number is {told}; number a command's events from 0")));
    }
    if !body.get("chunk").is_some_and(Value::is_string) {
        return Err(violation("field chunk of an output is not a text".to_owned()));
    }
    Ok(ResponseEvent::Output)
}

fn finished(body: &Object) -> Result<ResponseEvent, Reject> {
    let told = wire::text(body, "outcome")?;
    let (outcome, implied) = match told.as_deref() {
        Some("succeeded") => (ResponseOutcome::Succeeded, None),
        Some("failed") => (ResponseOutcome::Failed, None),
        Some("timed_out") => (ResponseOutcome::TimedOut, Some("timed_out")),
        Some("cancelled") => (ResponseOutcome::Cancelled, Some("cancelled")),
        Some("rejected") => (ResponseOutcome::Rejected, None),
        Some("expired") => (ResponseOutcome::Expired, Some("expired")),
        Some("interrupted") => (ResponseOutcome::Failed, Some("interrupted")),
        other => {
            return Err(violation(format!(
                "field outcome is {:?}; see docs/commands.md for the outcomes of a command",
                other.unwrap_or_default()
            )));
        }
    };
    let reason = reason(body, implied)?;
    // What a device refuses as too late is not its refusal, but the end of the command's time.
    let is_late = reason.as_ref().is_some_and(|reason| &*reason.code == "expired");
    let outcome = if is_late { ResponseOutcome::Expired } else { outcome };
    Ok(ResponseEvent::Finished { outcome, reason })
}

/// `implied`: the code that the outcome has by itself.
fn reason(body: &Object, implied: Option<&str>) -> Result<Option<ResponseReason>, Reject> {
    Ok(match body.get("reason") {
        Some(Value::Object(reason)) => Some(ResponseReason {
            code: wire::text(reason, "code")?
                .unwrap_or_else(|| implied.unwrap_or("internal").into()),
            text: words(reason.get("text")),
        }),
        _ => implied.map(|code| ResponseReason { code: code.into(), text: Box::default() }),
    })
}

/// The first generation answers once.
fn answered_once(body: &Object, nested: Option<&Object>) -> Result<ResponseEvent, Reject> {
    let value = nested.and_then(|result| result.get("status")).or_else(|| body.get("status"));
    let succeeded = match value {
        Some(Value::String(word)) if word == "success" => true,
        Some(Value::String(word)) if word == "error" => false,
        None if has(body, nested, "error") => false,
        None if has(body, nested, "result") => true,
        None => {
            return Err(violation(
                "field status is missing; give \"success\" or \"error\"".to_owned(),
            ));
        }
        Some(other) => {
            return Err(violation(format!(
                "field status is {other}; give \"success\" or \"error\""
            )));
        }
    };
    if succeeded {
        return Ok(ResponseEvent::Finished { outcome: ResponseOutcome::Succeeded, reason: None });
    }
    let error = nested.and_then(|result| result.get("error")).or_else(|| body.get("error"));
    let reason = ResponseReason { code: "program_failed".into(), text: words(error) };
    Ok(ResponseEvent::Finished { outcome: ResponseOutcome::Failed, reason: Some(reason) })
}

/// A text for people, bounded and without U+0000, which no record can hold.
fn words(value: Option<&Value>) -> Box<str> {
    let text = match value {
        None | Some(Value::Null) => return Box::default(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let kept: String = text.chars().filter(|c| *c != '\0').take(COMMAND_REASON_MAX_CHARS).collect();
    kept.into_boxed_str()
}

fn has(body: &Object, nested: Option<&Object>, field: &str) -> bool {
    nested.is_some_and(|result| result.contains_key(field)) || body.contains_key(field)
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
