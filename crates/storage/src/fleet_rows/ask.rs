//! What is asked of the fleet: which devices, in what order, and from where on.

use std::str::FromStr;

use protocol::{DeviceId, Labels, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a device is; each is in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FleetState {
    /// Its heartbeats arrive.
    Online,
    /// They do not.
    Offline,
    /// Its credentials are refused.
    Revoked,
    /// It is registered and was never heard of.
    Unseen,
}

/// What the fleet is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FleetSort {
    /// Tenant and device.
    #[default]
    Device,
    /// Name for people.
    Name,
    /// State, by its name.
    State,
    /// Newest heartbeat.
    LastHeartbeat,
    /// Version of the agent.
    AgentVersion,
    /// How far the clock is off, in either direction.
    ClockOffset,
}

/// A word that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown word")]
pub struct UnknownWord;

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetPosition {
    /// What the page was ordered by.
    pub key: String,
    /// Tenant of the last row.
    pub tenant: TenantId,
    /// Device of the last row.
    pub device: DeviceId,
}

/// Which devices, and in what order.
#[derive(Clone, Copy, Debug)]
pub struct FleetQuery<'a> {
    /// Of this tenant only.
    pub tenant: Option<TenantId>,
    /// With all of these labels only.
    pub labels: &'a Labels,
    /// In this state only; `None`: those that ever sent a heartbeat.
    pub state: Option<FleetState>,
    /// With this text in name, id, hostname, agent version or labels only.
    pub text: Option<&'a str>,
    /// Only these; empty: any.
    pub devices: &'a [DeviceId],
    /// The order.
    pub sort: FleetSort,
    /// The other way round.
    pub descending: bool,
    /// Where the page before ended.
    pub after: Option<&'a FleetPosition>,
    /// Most rows.
    pub limit: u32,
}

impl FleetState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Revoked => "revoked",
            Self::Unseen => "unseen",
        }
    }
}

impl FromStr for FleetState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let states = [Self::Online, Self::Offline, Self::Revoked, Self::Unseen];
        states.into_iter().find(|state| state.as_str() == text).ok_or(UnknownWord)
    }
}

impl FleetSort {
    /// The order as a text that sorts byte by byte; over a row of `fleet`.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Device => "''",
            Self::Name => "lower(name)",
            Self::State => "state",
            Self::LastHeartbeat => {
                "coalesce(to_char(extract(epoch from last_heartbeat) * 1000, 'FM000000000000000'), '')"
            }
            Self::AgentVersion => "coalesce(agent_version, '')",
            Self::ClockOffset => {
                "coalesce(to_char(abs(clock_offset_ms), 'FM0000000000000000000'), '')"
            }
        }
    }
}

impl FromStr for FleetSort {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Ok(match text {
            "device" => Self::Device,
            "name" => Self::Name,
            "state" => Self::State,
            "last_heartbeat" => Self::LastHeartbeat,
            "agent_version" => Self::AgentVersion,
            "clock_offset" => Self::ClockOffset,
            _ => return Err(UnknownWord),
        })
    }
}
