//! Errors of the API as `application/problem+json` (RFC 9457).
//!
//! Promises: what a caller can correct names field, value and remedy; what a server is to blame
//! for names the server and is a 503, never an empty answer.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use broker::BrokerGone;
use protocol::{DeviceId, TenantId};
use serde::Serialize;
use storage::{ApiRole, Unavailable};
use utoipa::ToSchema;

/// When to try again what a server could not answer.
const RETRY_AFTER_SECONDS: &str = "5";
/// Longest value that is repeated, in characters.
const VALUE_MAX_CHARS: usize = 64;

/// An error as the caller sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    detail: String,
    /// What the caller has to correct.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<&'static str>,
    /// What it is now, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<String>,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    remedy: Option<String>,
    /// As a header, where it is another than usual.
    #[serde(skip)]
    retry_after_seconds: Option<NonZeroU32>,
}

impl Problem {
    pub(crate) const fn new(status: StatusCode, title: &'static str, detail: String) -> Self {
        Self {
            title,
            status,
            detail,
            field: None,
            value: None,
            remedy: None,
            retry_after_seconds: None,
        }
    }

    /// A value that the caller must correct.
    pub(crate) fn bad_value(field: &'static str, value: &str, remedy: &str) -> Self {
        let value: String = value.chars().take(VALUE_MAX_CHARS).collect();
        let detail = format!("{field} is {value:?}; {remedy}");
        Self {
            field: Some(field),
            value: Some(value),
            remedy: Some(remedy.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, "bad value", detail)
        }
    }

    /// A parameter that means nothing here.
    pub(crate) fn unknown_parameter(name: &str) -> Self {
        let name: String = name.chars().take(VALUE_MAX_CHARS).collect();
        let detail = format!("parameter {name:?} is unknown here; see docs/api.md");
        Self::new(StatusCode::BAD_REQUEST, "bad query", detail)
    }

    /// A parameter that may stand once.
    pub(crate) fn repeated_parameter(name: &str) -> Self {
        let detail = format!("parameter {name:?} stands more than once; give it once");
        Self::new(StatusCode::BAD_REQUEST, "bad query", detail)
    }

    /// A device that no heartbeat has told of.
    pub(crate) fn unknown_device(device: DeviceId) -> Self {
        let detail = format!("no heartbeat of device {device} was ever taken");
        Self {
            field: Some("device"),
            value: Some(device.to_string()),
            remedy: Some("GET /v1/devices lists the known ones".to_owned()),
            ..Self::new(StatusCode::NOT_FOUND, "unknown device", detail)
        }
    }

    /// A tenant that nobody added.
    pub(crate) fn unknown_tenant(tenant: TenantId) -> Self {
        let detail = format!("nobody added tenant {tenant}");
        Self {
            field: Some("tenant"),
            value: Some(tenant.to_string()),
            remedy: Some("GET /v1/tenants lists the known ones".to_owned()),
            ..Self::new(StatusCode::NOT_FOUND, "unknown tenant", detail)
        }
    }

    /// The connection to the broker was never there.
    pub(crate) fn no_broker_yet() -> Self {
        let detail = "the broker was not reached yet; see /readyz".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server unavailable", detail)
    }

    /// Too many wrong tries.
    pub(crate) fn locked_out(wait: Duration) -> Self {
        Self::too_often("locked out", "too many wrong tries", wait)
    }

    /// More requests than a rate allows to `whom`.
    pub(crate) fn too_many_requests(whom: &str, wait: Duration) -> Self {
        Self::too_often("too many requests", &format!("too many requests by {whom}"), wait)
    }

    fn too_often(title: &'static str, what: &str, wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        let detail = format!("{what}; wait {seconds} s");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, title, detail);
        Self { retry_after_seconds: NonZeroU32::new(seconds), ..problem }
    }

    /// More than a socket may have.
    pub(crate) fn too_many_subscriptions(most: usize) -> Self {
        let detail = format!("a socket may have {most} subscriptions; take back some");
        Self::new(StatusCode::CONFLICT, "too many subscriptions", detail)
    }

    /// Whether it says that nobody is signed in.
    pub(crate) fn is_no_sign_in(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// The same about a field of the body.
    pub(crate) fn about(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// The same with what to do about it.
    pub(crate) fn with_remedy(self, remedy: &str) -> Self {
        Self { remedy: Some(remedy.to_owned()), ..self }
    }

    /// A device of which two tenants tell.
    pub(crate) fn ambiguous_device(device: DeviceId) -> Self {
        let detail =
            format!("device {device} reports under more than one tenant; give one a new UUID");
        Self::new(StatusCode::CONFLICT, "ambiguous device", detail)
    }

    /// Nobody that we know.
    pub(crate) fn no_sign_in(why: &str) -> Self {
        let remedy = "sign in, or send `Authorization: Bearer TOKEN` with a token that an operator \
                      makes: wegweiser api-token create";
        Self {
            remedy: Some(remedy.to_owned()),
            ..Self::new(StatusCode::UNAUTHORIZED, "no sign-in", why.to_owned())
        }
    }

    /// Somebody who may not do this.
    pub(crate) fn role_too_low(is: ApiRole, wanted: ApiRole) -> Self {
        let detail =
            format!("this needs the role {}, and this token has {}", wanted.as_str(), is.as_str());
        let remedy = format!("wegweiser api-token create --role {}", wanted.as_str());
        Self { remedy: Some(remedy), ..Self::new(StatusCode::FORBIDDEN, "role too low", detail) }
    }

    /// No answer within the time limit.
    pub(crate) fn too_slow(seconds: u64) -> Self {
        let detail = format!("there was no answer within {seconds} s; see /readyz");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too slow", detail)
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        tracing::warn!(server = unavailable.server, reason = unavailable.reason, "cannot answer");
        let detail = unavailable.to_string();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server unavailable", detail)
    }
}

impl From<BrokerGone> for Problem {
    fn from(gone: BrokerGone) -> Self {
        tracing::warn!(error = %gone, "cannot answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server unavailable", gone.to_string())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad query", rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let status = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, "bad body", rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad path", rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, wait) = (self.status, self.retry_after_seconds);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let later = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        if later.contains(&status) {
            let usual = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            headers.insert(
                RETRY_AFTER,
                wait.map_or(usual, |seconds| HeaderValue::from(seconds.get())),
            );
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn as_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}
