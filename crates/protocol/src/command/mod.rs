//! Commands: signed orders to one device, and the device's answers to them.
//!
//! A [`Command`] names its device, what to do and until when; it travels as a [`SignedCommand`],
//! of which only the signed text is believed. What can be ordered is the registry in [`CommandKind`],
//! and its arguments are typed in [`Order`]. Promises: a [`Command`] that was read is within every
//! limit; an error names the field, its value and the remedy. Refuses: a field that it does not
//! know, for it might change what is meant.

mod arguments;
mod event;
mod kind;
mod order;
mod signed;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{
    COMMAND_LIFE_MAX_MS, COMMAND_TIMEOUT_MAX_MS, COMMAND_TIMEOUT_MIN_MS, TEXT_FIELD_MAX_CHARS,
};
use crate::{CommandId, DeviceId, TenantId, UnixMillis};
pub use arguments::{
    Cancel, MetricsStart, NoArguments, Osquery, ProcessList, Run, SetInterval, TrustKeys,
};
pub use event::{CommandEvent, CommandOutcome, CommandReason, EventWord, OutputStream, ReasonCode};
pub use kind::CommandKind;
pub use order::{Order, OrderError};
pub use signed::{MalformedCommand, SignedCommand};

/// The form of the signed text that is written and read.
const VERSION: u8 = 1;

/// An order to one device: the text that is signed, as a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    version: u8,
    /// Which command.
    pub command_id: CommandId,
    /// Whose device.
    #[serde(rename = "tenant_uuid")]
    pub tenant: TenantId,
    /// Which device.
    #[serde(rename = "device_uuid")]
    pub device: DeviceId,
    /// What to do: the name of a [`CommandKind`], or one that this version does not know.
    pub kind: Box<str>,
    /// With what; a JSON object.
    pub arguments: Value,
    /// When it was made, by the backend's clock.
    #[serde(rename = "created_ms")]
    pub created: UnixMillis,
    /// From when on no device runs it.
    #[serde(rename = "expires_ms")]
    pub expires: UnixMillis,
    /// How long it may run, in milliseconds.
    pub timeout_ms: u64,
    /// Who asked for it, for people.
    pub requester: Box<str>,
}

/// What a new command is made of, beside its order.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandTerms {
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// When it is made.
    pub created: UnixMillis,
    /// From when on no device runs it.
    pub expires: UnixMillis,
    /// How long it may run, in milliseconds; `None`: as long as is usual for its kind.
    pub timeout_ms: Option<u64>,
    /// Who asks for it, for people.
    pub requester: Box<str>,
}

/// A command outside the limits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("field {field} is {value}; {remedy}")]
pub struct CommandError {
    field: &'static str,
    value: String,
    remedy: String,
}

impl Command {
    /// A command with this id.
    ///
    /// # Errors
    /// A term is outside the limits.
    pub fn new(
        command_id: CommandId,
        order: &Order,
        terms: CommandTerms,
    ) -> Result<Self, CommandError> {
        let kind = order.kind();
        let command = Self {
            version: VERSION,
            command_id,
            tenant: terms.tenant,
            device: terms.device,
            kind: kind.name().into(),
            arguments: order.arguments(),
            created: terms.created,
            expires: terms.expires,
            timeout_ms: terms.timeout_ms.unwrap_or_else(|| kind.default_timeout_ms()),
            requester: terms.requester,
        };
        command.check()?;
        Ok(command)
    }

    /// What is ordered, with its arguments checked.
    ///
    /// # Errors
    /// The kind is unknown, or its arguments are outside its schema.
    pub fn order(&self) -> Result<Order, OrderError> {
        Order::parse(&self.kind, &self.arguments)
    }

    /// Reads a text that was signed.
    ///
    /// # Errors
    /// It is no command of this version, or outside the limits.
    pub fn from_signed_text(text: &str) -> Result<Self, MalformedCommand> {
        let command: Self = serde_json::from_str(text)
            .map_err(|error| MalformedCommand::new(format!("the signed text: {error}")))?;
        command.check().map_err(|error| MalformedCommand::new(error.to_string()))?;
        Ok(command)
    }

    /// The text to sign.
    ///
    /// # Errors
    /// It cannot be written as JSON, which no value of this type is known to do.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn check(&self) -> Result<(), CommandError> {
        let wrong =
            |field, value: String, remedy: String| Err(CommandError { field, value, remedy });
        if self.version != VERSION {
            let remedy = format!("this program knows {VERSION}; update it");
            return wrong("version", self.version.to_string(), remedy);
        }
        if !self.arguments.is_object() {
            return wrong("arguments", self.arguments.to_string(), "give an object".to_owned());
        }
        let life_ms = self.expires.since(self.created);
        if !(1..=COMMAND_LIFE_MAX_MS).contains(&life_ms) {
            let remedy = format!(
                "give up to {COMMAND_LIFE_MAX_MS} after created_ms, {}",
                self.created.get()
            );
            return wrong("expires_ms", self.expires.get().to_string(), remedy);
        }
        let timeouts = COMMAND_TIMEOUT_MIN_MS..=COMMAND_TIMEOUT_MAX_MS;
        if !timeouts.contains(&self.timeout_ms) {
            let remedy = format!("give {} to {}", timeouts.start(), timeouts.end());
            return wrong("timeout_ms", self.timeout_ms.to_string(), remedy);
        }
        let length = self.requester.chars().count();
        let printable = !self.requester.chars().any(char::is_control);
        if !(1..=TEXT_FIELD_MAX_CHARS).contains(&length) || !printable {
            let shown = self.requester.chars().take(TEXT_FIELD_MAX_CHARS).collect::<String>();
            let remedy = format!("give 1 to {TEXT_FIELD_MAX_CHARS} printable characters");
            return wrong("requester", format!("{shown:?}"), remedy);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
