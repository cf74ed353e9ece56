//! How far a command is.

use std::str::FromStr;

use protocol::{ResponseEvent, ResponseOutcome};
use serde::Serialize;
use utoipa::ToSchema;

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// It waits for its device.
    Queued,
    /// The device has it.
    Delivered,
    /// The device has begun with it.
    Running,
    /// It did what was asked.
    Succeeded,
    /// It did not.
    Failed,
    /// Its time was over before it ended.
    TimedOut,
    /// It reached nobody before its time was over.
    Expired,
    /// Somebody took it back.
    Cancelled,
    /// The device refused it.
    Rejected,
}

impl CommandState {
    /// Every state, in the order in which they are reached.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Delivered,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Expired,
        Self::Cancelled,
        Self::Rejected,
    ];

    /// As the table has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Running => "running",
            Self::Succeeded => ResponseOutcome::Succeeded.as_str(),
            Self::Failed => ResponseOutcome::Failed.as_str(),
            Self::TimedOut => ResponseOutcome::TimedOut.as_str(),
            Self::Expired => ResponseOutcome::Expired.as_str(),
            Self::Cancelled => ResponseOutcome::Cancelled.as_str(),
            Self::Rejected => ResponseOutcome::Rejected.as_str(),
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Delivered | Self::Running)
    }

    /// Where an event of its device brings it; `None`: nowhere.
    pub(super) const fn after(event: &ResponseEvent) -> Option<Self> {
        Some(match event {
            ResponseEvent::Refused { .. } => return None,
            ResponseEvent::Started | ResponseEvent::Output => Self::Running,
            ResponseEvent::Finished { outcome, .. } => match outcome {
                ResponseOutcome::Succeeded => Self::Succeeded,
                ResponseOutcome::Failed => Self::Failed,
                ResponseOutcome::TimedOut => Self::TimedOut,
                ResponseOutcome::Cancelled => Self::Cancelled,
                ResponseOutcome::Rejected => Self::Rejected,
                ResponseOutcome::Expired => Self::Expired,
            },
        })
    }

    pub(super) fn read(text: &str) -> Self {
        // The table's check knows no tenth.
        text.parse().unwrap_or(Self::Failed)
    }
}

impl FromStr for CommandState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no state of a command; give one of {names}")
        })
    }
}
