//! Which dead letters are meant: a subject for the server, and a span of time.

use protocol::{DeviceId, Reject, TenantId, UnixMillis};

/// What an id is in the subject of a letter whose original told none.
const UNKNOWN: &str = "unknown";
const ANY: &str = "*";

/// Which dead letters are meant; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    stream: Option<String>,
    reason: Option<String>,
    tenant: Option<String>,
    device: Option<String>,
    /// Parked at this time or later, by the broker's clock.
    pub since: Option<UnixMillis>,
    /// Parked before this time, by the broker's clock.
    pub until: Option<UnixMillis>,
}

/// A filter that can match no letter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FilterError {
    /// No stream is named so.
    #[error("stream {0:?} is no stream's name; give one such as RESPONSES")]
    Stream(String),
    /// No letter is parked for that.
    #[error("reason {0:?} is none; give one of {list}", list = Reject::CODES.join(", "))]
    Reason(String),
    /// Not an id.
    #[error("{0}, or {UNKNOWN}")]
    Id(#[from] protocol::IdError),
}

impl LetterFilter {
    /// Checks each part.
    ///
    /// # Errors
    /// A part that no letter can have.
    pub fn new(
        stream: Option<&str>,
        reason: Option<&str>,
        tenant: Option<&str>,
        device: Option<&str>,
    ) -> Result<Self, FilterError> {
        Ok(Self {
            stream: stream.map(stream_name).transpose()?,
            reason: reason.map(reason_code).transpose()?,
            tenant: tenant.map(id_or_unknown::<TenantId>).transpose()?,
            device: device.map(id_or_unknown::<DeviceId>).transpose()?,
            since: None,
            until: None,
        })
    }

    /// Whether every letter is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a time says which letters are meant.
    #[must_use]
    pub const fn has_time(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// What the server filters by.
    #[must_use]
    pub fn subject(&self) -> String {
        let token = |part: &Option<String>| part.clone().unwrap_or_else(|| ANY.to_owned());
        let (stream, reason) = (token(&self.stream), token(&self.reason));
        format!("dead.{stream}.{reason}.{}.{}", token(&self.tenant), token(&self.device))
    }
}

fn stream_name(name: &str) -> Result<String, FilterError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(good) {
        return Err(FilterError::Stream(name.to_owned()));
    }
    Ok(name.to_owned())
}

fn reason_code(code: &str) -> Result<String, FilterError> {
    if !Reject::CODES.contains(&code) {
        return Err(FilterError::Reason(code.to_owned()));
    }
    Ok(code.to_owned())
}

/// In the form that a subject has.
fn id_or_unknown<Id>(text: &str) -> Result<String, FilterError>
where
    Id: std::str::FromStr<Err = protocol::IdError> + std::fmt::Display,
{
    if text == UNKNOWN {
        return Ok(text.to_owned());
    }
    Ok(text.parse::<Id>()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_one_subject_and_never_more_than_was_asked_for() {
        let tenant = "11111111-1111-4111-8111-11111111111A";
        let filter =
            LetterFilter::new(Some("METRICS"), None, Some(tenant), Some("unknown")).unwrap();
        assert_eq!(filter.subject(), format!("dead.METRICS.*.{}.unknown", tenant.to_lowercase()));
        for bad in ["*", ">", "A.B", ""] {
            assert!(LetterFilter::new(Some(bad), None, None, None).is_err(), "{bad}");
            assert!(LetterFilter::new(None, Some(bad), None, None).is_err(), "{bad}");
            assert!(LetterFilter::new(None, None, Some(bad), None).is_err(), "{bad}");
            assert!(LetterFilter::new(None, None, None, Some(bad)).is_err(), "{bad}");
        }
    }
}
