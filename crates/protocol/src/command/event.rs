//! What a device says of a command: the body of a response.
//!
//! Each command's events are numbered from 0; the number identifies an event, however often it is
//! sent. Promises: a finished event is final. Refuses: more than one finished event of a command.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::COMMAND_REASON_MAX_CHARS;
use crate::{CommandId, DeviceId, ResponseStatus, TenantId, UnixMillis};

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventWord {
    /// It runs.
    Started,
    /// It printed something.
    Output,
    /// It ended, one way or another; nothing follows.
    Finished,
    /// A message under the id of a command that the device has already was refused; that command
    /// is as it was.
    Refused,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// It did what was asked.
    Succeeded,
    /// It did not, or was interrupted.
    Failed,
    /// It was ended because its time was up.
    TimedOut,
    /// It was ended, or kept from running, by another command.
    Cancelled,
    /// The device refused it; nothing ran.
    Rejected,
}

impl CommandOutcome {
    /// The word on the wire, in counters and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

/// Why a command did not succeed: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// Rejected: the signature is not that of the key.
    WrongSignature,
    /// Rejected: the device does not believe the key.
    UnknownKey,
    /// Rejected: it is for another device.
    OtherDevice,
    /// Rejected: it is for another tenant's device.
    OtherTenant,
    /// Rejected: it came too late.
    Expired,
    /// Rejected: the id is known, with other content.
    Replayed,
    /// Rejected: the agent knows no such kind.
    UnknownKind,
    /// Rejected: the arguments are outside the kind's schema.
    BadArguments,
    /// Rejected: the device's own configuration does not allow it.
    NotAllowed,
    /// Rejected: it cannot be read.
    Malformed,
    /// Failed: the program is not there.
    ProgramMissing,
    /// Failed: the program ended with a failure.
    ProgramFailed,
    /// Failed: the agent ended in the middle of it; it may have had its effect.
    Interrupted,
    /// Failed: the device has too much to do.
    Busy,
    /// Failed: something of the agent's own.
    Internal,
    /// Its time was up.
    TimedOut,
    /// It was cancelled.
    Cancelled,
}

impl ReasonCode {
    /// Every code.
    pub const ALL: [Self; 17] = [
        Self::WrongSignature,
        Self::UnknownKey,
        Self::OtherDevice,
        Self::OtherTenant,
        Self::Expired,
        Self::Replayed,
        Self::UnknownKind,
        Self::BadArguments,
        Self::NotAllowed,
        Self::Malformed,
        Self::ProgramMissing,
        Self::ProgramFailed,
        Self::Interrupted,
        Self::Busy,
        Self::Internal,
        Self::TimedOut,
        Self::Cancelled,
    ];

    /// The word on the wire, in counters and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongSignature => "wrong_signature",
            Self::UnknownKey => "unknown_key",
            Self::OtherDevice => "other_device",
            Self::OtherTenant => "other_tenant",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::UnknownKind => "unknown_kind",
            Self::BadArguments => "bad_arguments",
            Self::NotAllowed => "not_allowed",
            Self::Malformed => "malformed",
            Self::ProgramMissing => "program_missing",
            Self::ProgramFailed => "program_failed",
            Self::Interrupted => "interrupted",
            Self::Busy => "busy",
            Self::Internal => "internal",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }

    /// How a command ends for this reason.
    #[must_use]
    pub const fn outcome(self) -> CommandOutcome {
        match self {
            Self::WrongSignature
            | Self::UnknownKey
            | Self::OtherDevice
            | Self::OtherTenant
            | Self::Expired
            | Self::Replayed
            | Self::UnknownKind
            | Self::BadArguments
            | Self::NotAllowed
            | Self::Malformed => CommandOutcome::Rejected,
            Self::ProgramMissing
            | Self::ProgramFailed
            | Self::Interrupted
            | Self::Busy
            | Self::Internal => CommandOutcome::Failed,
            Self::TimedOut => CommandOutcome::TimedOut,
            Self::Cancelled => CommandOutcome::Cancelled,
        }
    }
}

/// A code with words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReason {
    /// Which of the closed list.
    pub code: ReasonCode,
    /// What happened, with the remedy.
    pub text: String,
}

impl CommandReason {
    /// A reason in words, cut at [`COMMAND_REASON_MAX_CHARS`].
    #[must_use]
    pub fn new(code: ReasonCode, text: &str) -> Self {
        Self { code, text: text.chars().take(COMMAND_REASON_MAX_CHARS).collect() }
    }
}

/// Where a program printed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// One event of one command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandEvent {
    /// Which command.
    pub command_id: CommandId,
    /// Whose device.
    pub tenant_uuid: TenantId,
    /// Which device.
    pub device_uuid: DeviceId,
    /// When it was said, by the device's clock.
    pub timestamp_ms: UnixMillis,
    /// What it tells.
    pub event: EventWord,
    /// Which of the command's events it is, from 0. Where the device lost count it leaves some out.
    pub number: u32,
    /// `running`; of a finished one `success` or `error`, the first generation's words.
    pub status: String,
    /// Of a finished or refused one: how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CommandOutcome>,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CommandReason>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Of output: where it was printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<OutputStream>,
    /// Of output: what was printed; bytes that are no UTF-8 are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<String>,
    /// Of output: how many bytes of its stream were before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Of output: more was printed than is kept, and nothing of its stream follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<bool>,
}

impl CommandEvent {
    /// An event of a command that runs, without more.
    #[must_use]
    pub fn running(
        of: (TenantId, DeviceId, CommandId),
        event: EventWord,
        number: u32,
        at: UnixMillis,
    ) -> Self {
        let (tenant_uuid, device_uuid, command_id) = of;
        Self {
            command_id,
            tenant_uuid,
            device_uuid,
            timestamp_ms: at,
            event,
            number,
            status: "running".to_owned(),
            outcome: None,
            reason: None,
            result: None,
            stream: None,
            chunk: None,
            offset: None,
            cut: None,
        }
    }

    /// The same, as the end of its command.
    #[must_use]
    pub fn ended(
        mut self,
        outcome: CommandOutcome,
        reason: Option<CommandReason>,
        result: Option<Value>,
    ) -> Self {
        let status = match outcome {
            CommandOutcome::Succeeded => ResponseStatus::Success,
            _ => ResponseStatus::Error,
        };
        status.as_str().clone_into(&mut self.status);
        (self.outcome, self.reason, self.result) = (Some(outcome), reason, result);
        self
    }
}
