//! A command on its way from the records to the broker.

use crate::{CommandId, DeviceId, TenantId, UnixMillis};

/// A message that is to be published on a device's command subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Which command; the stream takes each once.
    pub command: CommandId,
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// What is published, byte for byte.
    pub message: String,
    /// Where its trace goes on (W3C `traceparent`); beside the message, which is signed without it.
    pub traceparent: Option<String>,
    /// From when on it is worth nothing.
    pub expires: UnixMillis,
    /// Whether somebody set out to publish it before, and it is not known what came of that.
    pub again: bool,
}
