//! `POST /v1/enroll`: a device gets its first credentials.
//!
//! Promises: a key pair never comes here, only its public half; tries are limited a source and in
//! all before anything is looked up; a token that is not accepted is refused in the same words
//! whatever is wrong with it, and they say what to do. Refuses: to write a token or JWT anywhere.

mod document;
mod issue;
mod rate;
mod renewals;

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::{Extension, Json};
use identity::{KeyKind, PublicKey};
use protocol::{EnrollAnswer, EnrollRequest, Labels};
use storage::{EnrollToken, EnrolmentError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::guard::Peer;
use crate::problem::Problem;
pub(crate) use issue::Issuer;
use issue::NotIssued;
use rate::Tries;
pub(crate) use renewals::answer as answer_renewals;

/// Longest name of a device.
const NAME_MAX_CHARS: usize = 128;
const KEY_REMEDY: &str = "give the public half of a user nkey: 56 characters that start with U";

/// What the handler works with.
#[derive(Clone)]
pub(crate) struct Enrolling {
    /// `None`: it was not set up.
    issuer: Option<Issuer>,
    tries: Arc<Tries>,
}

impl Enrolling {
    pub(crate) fn new(issuer: Option<Issuer>) -> Self {
        Self { issuer, tries: Arc::new(Tries::new()) }
    }
}

/// The route.
pub(crate) fn routes(enrolling: Enrolling) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(enroll)).with_state(enrolling)
}

/// Gives a device its first credentials.
#[utoipa::path(post, path = "/v1/enroll", tag = "enrolment", security(()),
    request_body = document::Asked,
    responses(
        (status = 200, description = "The credentials.", body = document::Answered),
        (status = 403, description = "The token is not accepted.", body = Problem,
         content_type = "application/problem+json")))]
async fn enroll(
    State(enrolling): State<Enrolling>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Result<Json<EnrollRequest>, JsonRejection>,
) -> Result<Json<EnrollAnswer>, Problem> {
    let taken = enrolling.tries.take(peer);
    taken.map_err(|wait| Problem::too_many_requests("this address, or by all", wait))?;
    let Some(issuer) = &enrolling.issuer else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no enrolment here",
            "this service has no keys to issue devices with; its operator sets \
             WEGWEISER_ISSUING_KEYS"
                .to_owned(),
        ));
    };
    let Json(request) = request?;
    let public = public_key(&request.public_key)?;
    let labels = labels(&request)?;
    let name = name(&request.name)?;
    // What has not the form of a token is refused as any other, for it tells no more.
    let token = EnrollToken::parse(&request.token).ok_or(EnrolmentError::Token);
    let token = token.map_err(|refused| not_issued(&refused.into()))?;
    let source = peer.to_string();
    let admitted = issuer.enroll(&token, &public, (name, &labels), &source).await;
    let (enrolled, issued) = admitted.map_err(|error| not_issued(&error))?;
    let (tenant, device) = (enrolled.tenant, enrolled.device);
    tracing::info!(%tenant, %device, %peer, "device enrolled");
    Ok(Json(EnrollAnswer {
        tenant,
        device,
        jwt: issued.jwt,
        expires_at: issued.expires_at,
        servers: issuer.servers.clone(),
        ca: issuer.ca.clone(),
        command_keys: issuer.command_keys().map_err(|error| not_issued(&error))?,
    }))
}

fn public_key(text: &str) -> Result<PublicKey, Problem> {
    let key = text.parse::<PublicKey>().and_then(|key| key.expect_kind(KeyKind::User));
    // Somebody may have sent the seed; it is not sent around once more.
    let shown = if text.starts_with('S') { "a secret" } else { text };
    key.map_err(|_| Problem::bad_value("public_key", shown, KEY_REMEDY))
}

fn labels(request: &EnrollRequest) -> Result<Labels, Problem> {
    let mut labels = Labels::default();
    for (key, value) in &request.labels {
        let set = labels.set(key, value);
        set.map_err(|error| Problem::bad_value("labels", key, &error.to_string()))?;
    }
    Ok(labels)
}

fn name(text: &str) -> Result<&str, Problem> {
    if text.chars().count() > NAME_MAX_CHARS || text.chars().any(char::is_control) {
        let remedy = format!("give up to {NAME_MAX_CHARS} characters without control characters");
        return Err(Problem::bad_value("name", text, &remedy));
    }
    Ok(text)
}

fn not_issued(error: &NotIssued) -> Problem {
    match error {
        NotIssued::Refused(EnrolmentError::Unavailable(away)) => Problem::from(away.clone()),
        NotIssued::Refused(refused) => {
            tracing::info!(reason = %refused, "enrolment refused");
            Problem::new(StatusCode::FORBIDDEN, "enrolment refused", refused.to_string())
        }
        NotIssued::Keys(source) => {
            tracing::error!(error = format!("{source:#}"), "a device cannot be issued credentials");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Problem::new(status, "cannot issue", error.to_string())
        }
    }
}
