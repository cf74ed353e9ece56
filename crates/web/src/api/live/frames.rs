//! What is said over a live socket, in both directions, as JSON.

use std::collections::BTreeMap;

use axum::extract::ws::Utf8Bytes;
use protocol::{DeviceId, MetricType, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use storage::ApiRole;
use uuid::Uuid;

use crate::api::dead_letters::counts::Counts;
use crate::api::metrics::Points;
use crate::problem::Problem;
use crate::readiness::pipeline::BehindMs;

/// Longest id of a command.
const COMMAND_MAX_CHARS: usize = 128;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    Metrics(DeviceId),
    Presence(Option<TenantId>),
    Command(DeviceId, String),
    DeadLetters,
}

/// A frame of the client, understood.
pub(super) struct Order {
    pub(super) wanted: Wanted,
    /// Otherwise: no more.
    pub(super) subscribe: bool,
    /// Time of the newest point that the client has, in milliseconds since 1970.
    pub(super) since: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    subscribe: Option<String>,
    unsubscribe: Option<String>,
    device: Option<DeviceId>,
    tenant: Option<TenantId>,
    command: Option<String>,
    since: Option<i64>,
}

impl Order {
    /// Reads a frame; `None`: it is none of the contract's.
    pub(super) fn read(text: &str) -> Option<Self> {
        let asked: Asked = serde_json::from_str(text).ok()?;
        let (what, subscribe) = match (asked.subscribe, asked.unsubscribe) {
            (Some(what), None) => (what, true),
            (None, Some(what)) => (what, false),
            _ => return None,
        };
        let wanted = match (what.as_str(), asked.device, asked.command, asked.tenant) {
            ("metrics", Some(device), None, None) => Wanted::Metrics(device),
            ("presence", None, None, tenant) => Wanted::Presence(tenant),
            ("command", Some(device), Some(command), None)
                if command.chars().count() <= COMMAND_MAX_CHARS
                    && !command.chars().any(char::is_control) =>
            {
                Wanted::Command(device, command)
            }
            ("dead_letters", None, None, None) => Wanted::DeadLetters,
            _ => return None,
        };
        Some(Self { wanted, subscribe, since: asked.since })
    }
}

/// What a frame of ours answers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct To {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

impl From<&Wanted> for To {
    fn from(wanted: &Wanted) -> Self {
        let empty = Self { what: "", device: None, tenant: None, command: None };
        match wanted {
            Wanted::Metrics(device) => Self { what: "metrics", device: Some(*device), ..empty },
            Wanted::Presence(tenant) => Self { what: "presence", tenant: *tenant, ..empty },
            Wanted::Command(device, command) => Self {
                what: "command",
                device: Some(*device),
                command: Some(command.clone()),
                ..empty
            },
            Wanted::DeadLetters => Self { what: "dead_letters", ..empty },
        }
    }
}

/// A device that came online or went offline.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Change {
    pub(super) tenant: TenantId,
    pub(super) device: DeviceId,
    pub(super) online: bool,
    /// In milliseconds since 1970.
    pub(super) at: i64,
}

/// A frame of ours.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Frame<'a> {
    Hello {
        now: i64,
        role: ApiRole,
        tenant: Option<TenantId>,
    },
    Subscribed {
        to: To,
    },
    Unsubscribed {
        to: To,
    },
    Refused {
        to: To,
        problem: &'a Problem,
    },
    Points {
        device: DeviceId,
        seed: bool,
        points: &'a BTreeMap<MetricType, Points>,
    },
    Presence {
        changes: &'a [Change],
    },
    Command {
        device: DeviceId,
        command: &'a str,
        event: &'a RawValue,
        seed: bool,
    },
    DeadLetters {
        #[serde(flatten)]
        counts: &'a Counts,
    },
    Behind {
        behind_ms: Option<BehindMs>,
    },
}

impl Frame<'_> {
    /// As it is sent; nothing of a frame can fail to be written.
    pub(super) fn text(&self) -> Utf8Bytes {
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

/// A caller of one tenant or of all, as an id for who counts them.
pub(super) type SocketId = Uuid;

/// A value as it stands in a frame.
pub(super) fn raw(value: &Value) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_of_the_contract_are_understood() {
        let device = "22222222-2222-4222-8222-222222222222";
        let good = [
            format!(r#"{{"subscribe":"metrics","device":"{device}","since":5}}"#),
            format!(r#"{{"unsubscribe":"metrics","device":"{device}"}}"#),
            r#"{"subscribe":"presence"}"#.to_owned(),
            format!(r#"{{"subscribe":"presence","tenant":"{device}"}}"#),
            format!(r#"{{"subscribe":"command","device":"{device}","command":"c"}}"#),
            r#"{"subscribe":"dead_letters"}"#.to_owned(),
        ];
        for text in good {
            assert!(Order::read(&text).is_some(), "{text}");
        }
        let bad = [
            "".to_owned(),
            "[]".to_owned(),
            r#"{"subscribe":"metrics"}"#.to_owned(),
            r#"{"subscribe":"presence","unsubscribe":"presence"}"#.to_owned(),
            r#"{"subscribe":"everything"}"#.to_owned(),
            r#"{"subscribe":"presence","x":1}"#.to_owned(),
            format!(r#"{{"subscribe":"command","device":"{device}","command":"\u0000"}}"#),
        ];
        for text in bad {
            assert!(Order::read(&text).is_none(), "{text}");
        }
    }
}
