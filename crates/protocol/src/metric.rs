//! Live metrics: one value of one metric of one device at one time.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use serde::Serialize;

use crate::limits::METRIC_TYPE_MAX_BYTES;
use crate::{DeviceId, TenantId, UnixMillis};

/// What every agent of ours reports, in the order of docs/contract.md.
pub const AGENT_METRICS: [&str; 6] = [
    "cpu_percent",
    "memory_percent",
    "disk_percent",
    "network_bytes_in",
    "network_bytes_out",
    "uptime",
];

/// The name of a metric: 1 to 64 of `[a-z0-9_]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MetricType(CompactString);

/// A metric type outside the rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("metric type {value:?}: give 1 to {METRIC_TYPE_MAX_BYTES} characters of [a-z0-9_]")]
pub struct MetricTypeError {
    value: String,
}

impl MetricType {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MetricType {
    type Err = MetricTypeError;

    fn from_str(text: &str) -> Result<Self, MetricTypeError> {
        let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || text.len() > METRIC_TYPE_MAX_BYTES || !text.bytes().all(token) {
            return Err(MetricTypeError {
                value: text.chars().take(METRIC_TYPE_MAX_BYTES).collect(),
            });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One value of one metric of one device at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPoint {
    /// Whose device, as the broker stamped it.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// Which metric.
    pub metric: MetricType,
    /// When the device measured it, by the device's clock.
    pub at: UnixMillis,
    /// The value, finite, in the metric's own unit.
    pub value: f64,
}

/// A metric point as an agent writes it.
#[derive(Debug, Serialize)]
pub struct MetricBody<'a> {
    /// The device itself.
    pub device_uuid: DeviceId,
    /// Its tenant.
    pub tenant_uuid: TenantId,
    /// Which metric.
    pub metric_type: &'a MetricType,
    /// The value, finite.
    pub value: f64,
    /// When it was measured.
    pub timestamp_ms: UnixMillis,
}
