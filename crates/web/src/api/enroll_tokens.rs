//! `/v1/enroll-tokens`: what admits devices, made and revoked by admins.
//!
//! Promises: a token is shown once, in the answer that makes it; making and revoking are in the
//! audit log under the caller's name.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use protocol::{TenantId, UnixMillis};
use serde::{Deserialize, Serialize};
use storage::{EnrollToken, EnrollTokenRow, NewEnrollToken, RegistryError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::caller::Admin;
use super::query::{UUID_REMEDY, number, parse, parse_some};
use crate::problem::Problem;

/// Tokens in an answer where the caller names no number, and most of them.
const LIMIT_DEFAULT_TOKENS: u32 = 100;
const LIMIT_MAX_TOKENS: u32 = 1_000;
/// Devices that one token may admit.
const USES_MAX: u32 = 10_000;
/// How long a token may be good, in seconds.
const LIFETIME_DEFAULT_SECONDS: u32 = 86_400;
const LIFETIME_MIN_SECONDS: u32 = 60;
const LIFETIME_MAX_SECONDS: u32 = 30 * 86_400;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Of this tenant only.
    #[param(format = Uuid)]
    tenant: Option<String>,
    /// Most tokens.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TokenList {
    /// Newest first.
    tokens: Vec<EnrollTokenRow>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Whose devices it admits.
    #[schema(format = Uuid)]
    tenant: String,
    /// How many.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 10_000, default = 1)]
    uses: u32,
    #[serde(default = "a_day")]
    #[schema(minimum = 60, maximum = 2_592_000, default = 86_400)]
    expires_in_seconds: u32,
}

const fn one() -> u32 {
    1
}

const fn a_day() -> u32 {
    LIFETIME_DEFAULT_SECONDS
}

#[derive(Debug, Serialize, ToSchema)]
struct Made {
    id: Uuid,
    /// Shown this once.
    token: String,
    #[schema(value_type = Uuid)]
    tenant: TenantId,
    uses: u32,
    /// In milliseconds since 1970.
    expires_at: i64,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// Tokens that admit devices; none can be read.
#[utoipa::path(get, path = "/v1/enroll-tokens", tag = "enrolment", params(ListQuery),
    responses((status = 200, description = "The tokens.", body = TokenList)))]
async fn list(
    Admin(caller): Admin,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<TokenList>, Problem> {
    let Query(query) = query?;
    let tenant = parse_some::<TenantId>("tenant", query.tenant.as_deref(), UUID_REMEDY)?;
    let limit = number("limit", query.limit.as_deref(), LIMIT_DEFAULT_TOKENS, LIMIT_MAX_TOKENS)?;
    Ok(Json(TokenList { tokens: caller.records().enroll_tokens(tenant, limit).await? }))
}

/// Makes a token.
#[utoipa::path(post, path = "/v1/enroll-tokens", tag = "enrolment", request_body = Wanted,
    responses(
        (status = 201, description = "The token, this once.", body = Made),
        (status = 404, description = "No such tenant here.", body = Problem,
         content_type = "application/problem+json")))]
async fn create(
    Admin(caller): Admin,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    let Json(wanted) = wanted?;
    let tenant: TenantId = parse("tenant", &wanted.tenant, UUID_REMEDY)?;
    within("uses", wanted.uses, 1, USES_MAX)?;
    let lasts_seconds = wanted.expires_in_seconds;
    within("expires_in_seconds", lasts_seconds, LIFETIME_MIN_SECONDS, LIFETIME_MAX_SECONDS)?;
    // One of another tenant is not there for the caller.
    if caller.records().tenant(tenant).await?.is_none() {
        return Err(Problem::unknown_tenant(tenant));
    }
    let token = EnrollToken::generate();
    let expires_at = UnixMillis::new(UnixMillis::now().get() + i64::from(lasts_seconds) * 1_000);
    let (who, uses) = (caller.who(), wanted.uses);
    let new = NewEnrollToken { tenant, uses, expires_at, who: &who };
    let made = caller.records().create_enroll_token(&token, new).await;
    let id = made.map_err(|error| match error {
        RegistryError::Unavailable(away) => away.into(),
        other => Problem::new(StatusCode::CONFLICT, "not made", other.to_string()),
    })?;
    let (token, expires_at) = (token.expose().to_owned(), expires_at.get());
    Ok((StatusCode::CREATED, Json(Made { id, token, tenant, uses, expires_at })))
}

/// Revokes a token at once and for good; devices that were admitted with it stay.
#[utoipa::path(delete, path = "/v1/enroll-tokens/{token}", tag = "enrolment",
    params(("token" = Uuid, Path, description = "The token's id.")),
    responses(
        (status = 204, description = "It admits nobody any more."),
        (status = 404, description = "No such token here.", body = Problem,
         content_type = "application/problem+json")))]
async fn revoke(
    Admin(caller): Admin,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = path?;
    let id: Uuid = parse("token", &id, UUID_REMEDY)?;
    match caller.records().revoke_enroll_token(id, &caller.who()).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => {
            let detail = format!("there is no token {id}; GET /v1/enroll-tokens lists them");
            Err(Problem::new(StatusCode::NOT_FOUND, "unknown token", detail))
        }
    }
}

fn within(field: &'static str, number: u32, min: u32, max: u32) -> Result<(), Problem> {
    if (min..=max).contains(&number) {
        return Ok(());
    }
    let remedy = format!("give a whole number from {min} to {max}");
    Err(Problem::bad_value(field, &number.to_string(), &remedy))
}
