//! Which metrics a device has sent of late, as the broker has them.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use protocol::{DeviceId, DeviceSubject, Kind, MetricType};

use crate::{Broker, BrokerGone};

/// Metrics that are told of one device.
const TYPES_MAX: usize = 64;

impl Broker {
    /// The metrics of a device that `METRICS` holds points of, at most 64.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn metric_types(&self, device: DeviceId) -> Result<BTreeSet<MetricType>, BrokerGone> {
        let gone = |error: &dyn std::fmt::Display| BrokerGone(error.to_string());
        let stream = self.stream_handle("METRICS").await?;
        let subjects = stream.info_with_subjects(format!("tenant.*.demo.system.{device}.*")).await;
        let mut subjects = subjects.map_err(|error| gone(&error))?;
        let mut types = BTreeSet::new();
        while let Some((subject, _)) = subjects.try_next().await.map_err(|error| gone(&error))? {
            if let Ok(subject) = subject.parse::<DeviceSubject>()
                && let Kind::Metric(metric) = subject.kind()
                && types.len() < TYPES_MAX
            {
                types.insert(metric.clone());
            }
        }
        Ok(types)
    }
}
