//! Subjects: where a message came from, as the broker stamped it.
//!
//! A device publishes metrics on `demo.system.{device}.{metric}`; the broker puts the tenant in
//! front. Everything else carries both ids already and the broker admits only the device's own.
//! Promises: a [`DeviceSubject`] is the only identity that is believed.

use std::fmt;
use std::str::FromStr;

use crate::{DeviceId, MetricType, TenantId};

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A live metric point.
    Metric(MetricType),
    /// A sign of life.
    Heartbeat,
    /// A full snapshot.
    Monitoring,
    /// An answer to a command.
    Response,
    /// An order to the device.
    Command,
    /// A question for new credentials; answered at once, kept in no stream.
    Renewal,
}

impl Kind {
    /// The kind as a word for logs, metric labels and message ids.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Metric(_) => "metric",
            Self::Heartbeat => "heartbeat",
            Self::Monitoring => "monitoring",
            Self::Response => "response",
            Self::Command => "command",
            Self::Renewal => "renewal",
        }
    }

    /// The form of its subjects as the broker stamps them, with names for what differs.
    #[must_use]
    pub const fn template(&self) -> &'static str {
        match self {
            Self::Metric(_) => "tenant.{tenant}.demo.system.{device}.{metric_type}",
            Self::Heartbeat => "tenant.{tenant}.device.{device}.status.heartbeat",
            Self::Monitoring => "tenant.{tenant}.device.{device}.monitoring",
            Self::Response => "tenant.{tenant}.device.{device}.response",
            Self::Command => "tenant.{tenant}.device.{device}.command",
            Self::Renewal => "tenant.{tenant}.device.{device}.renew",
        }
    }
}

/// Tenant, device and kind of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceSubject {
    tenant: TenantId,
    device: DeviceId,
    kind: Kind,
}

/// A subject that is none of the contract's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("subject {subject:?}: {problem}")]
pub struct SubjectError {
    subject: String,
    problem: String,
}

impl DeviceSubject {
    /// The subject of `kind` for one device.
    #[must_use]
    pub const fn new(tenant: TenantId, device: DeviceId, kind: Kind) -> Self {
        Self { tenant, device, kind }
    }

    /// Whose it is.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Which device it is of.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The subject as the *device* publishes it: metrics go without the tenant in front.
    #[must_use]
    pub fn as_published_by_device(&self) -> String {
        match &self.kind {
            Kind::Metric(metric) => format!("demo.system.{}.{metric}", self.device),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for DeviceSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tenant, device) = (self.tenant, self.device);
        match &self.kind {
            Kind::Metric(metric) => write!(f, "tenant.{tenant}.demo.system.{device}.{metric}"),
            Kind::Heartbeat => write!(f, "tenant.{tenant}.device.{device}.status.heartbeat"),
            Kind::Monitoring => write!(f, "tenant.{tenant}.device.{device}.monitoring"),
            Kind::Response => write!(f, "tenant.{tenant}.device.{device}.response"),
            Kind::Command => write!(f, "tenant.{tenant}.device.{device}.command"),
            Kind::Renewal => write!(f, "tenant.{tenant}.device.{device}.renew"),
        }
    }
}

impl FromStr for DeviceSubject {
    type Err = SubjectError;

    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        let fail = |problem: String| SubjectError {
            subject: subject.chars().take(256).collect(),
            problem,
        };
        let unknown =
            || fail("is none of the contract's; see docs/contract.md for the subjects".to_owned());
        let mut tokens = subject.split('.');
        if tokens.next() != Some("tenant") {
            return Err(unknown());
        }
        let tenant = tokens.next().unwrap_or_default();
        let tenant: TenantId = tenant.parse().map_err(|e: crate::IdError| fail(e.to_string()))?;
        let family = tokens.next();
        if family == Some("demo") && tokens.next() != Some("system") {
            return Err(unknown());
        }
        let device = tokens.next().unwrap_or_default();
        let device: DeviceId = device.parse().map_err(|e: crate::IdError| fail(e.to_string()))?;
        let rest = (family, tokens.next(), tokens.next(), tokens.next());
        let kind = match rest {
            (Some("demo"), Some(metric), None, None) => Kind::Metric(
                metric.parse().map_err(|e: crate::MetricTypeError| fail(e.to_string()))?,
            ),
            // Agents of the first generation leave out either half of `status.heartbeat`.
            (Some("device"), Some("status"), Some("heartbeat") | None, None)
            | (Some("device"), Some("heartbeat"), None, None) => Kind::Heartbeat,
            (Some("device"), Some("monitoring"), None, None) => Kind::Monitoring,
            (Some("device"), Some("response"), None, None) => Kind::Response,
            (Some("device"), Some("command"), None, None) => Kind::Command,
            (Some("device"), Some("renew"), None, None) => Kind::Renewal,
            _ => return Err(unknown()),
        };
        Ok(Self { tenant, device, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "11111111-1111-4111-8111-111111111111";
    const D: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn every_subject_of_the_contract_reads_back_as_written() {
        for tail in [
            format!("demo.system.{D}.cpu_percent"),
            format!("device.{D}.status.heartbeat"),
            format!("device.{D}.monitoring"),
            format!("device.{D}.response"),
            format!("device.{D}.command"),
            format!("device.{D}.renew"),
        ] {
            let text = format!("tenant.{T}.{tail}");
            let subject: DeviceSubject = text.parse().unwrap();
            assert_eq!(subject.to_string(), text);
            let template = subject.kind().template().replace("{tenant}", T).replace("{device}", D);
            assert_eq!(template.replace("{metric_type}", "cpu_percent"), text);
        }
    }

    #[test]
    fn both_short_heartbeat_subjects_of_the_field_are_heartbeats() {
        for tail in ["heartbeat", "status"] {
            let subject: DeviceSubject = format!("tenant.{T}.device.{D}.{tail}").parse().unwrap();
            assert_eq!(subject.kind(), &Kind::Heartbeat);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (subject, reason) in [
            (format!("tenant.{T}.device.{D}.status.other"), "none of the contract's"),
            (format!("tenant.{T}.device.{D}.response.more"), "none of the contract's"),
            (format!("tenant.nobody.device.{D}.response"), "tenant \"nobody\" is not a UUID"),
            (format!("tenant.{T}.demo.system.{D}.CPU"), "[a-z0-9_]"),
            (String::new(), "none of the contract's"),
        ] {
            let error = subject.parse::<DeviceSubject>().unwrap_err().to_string();
            assert!(error.contains(reason), "{subject}: {error}");
        }
    }

    #[test]
    fn a_device_publishes_metrics_without_its_tenant() {
        let subject: DeviceSubject = format!("tenant.{T}.demo.system.{D}.uptime").parse().unwrap();
        assert_eq!(subject.as_published_by_device(), format!("demo.system.{D}.uptime"));
    }
}
