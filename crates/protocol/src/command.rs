//! Commands: orders to one device.

use serde::Serialize;
use serde_json::Value;

use crate::{CommandId, DeviceId, TenantId};

/// An order to one device, before it is signed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Command {
    /// Which command.
    pub command_id: CommandId,
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// What to do.
    pub kind: Box<str>,
    /// With what.
    pub arguments: Value,
}
