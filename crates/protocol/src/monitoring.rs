//! Monitoring reports: full snapshots of a device (hardware, disks, networks, top processes).

use crate::wire::{self, Normalised, json_text};
use crate::{DeviceId, DeviceSubject, Reject, TenantId, UnixMillis};

/// A snapshot; its inner shape is the agent's.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitoringReport {
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// When it was taken, by the device's clock.
    pub at: UnixMillis,
    /// `monitoring_type` of the report, `monitoring` where it has none.
    pub report_type: Box<str>,
    /// The report as JSON text, without an envelope. Text, since a tree takes many times its size.
    pub report: Box<str>,
}

impl MonitoringReport {
    pub(crate) fn from_wire(subject: &DeviceSubject, wire: Normalised) -> Result<Self, Reject> {
        let report_type = wire::text(&wire.body, "monitoring_type")?;
        Ok(Self {
            tenant: subject.tenant(),
            device: subject.device(),
            at: wire.at,
            report_type: report_type.unwrap_or_else(|| "monitoring".into()),
            report: json_text(&wire.body),
        })
    }
}
