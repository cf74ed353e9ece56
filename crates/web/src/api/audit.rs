//! `/v1/audit`: who changed what, when, and what came of it.

use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::{Deserialize, Serialize};
use storage::{AuditFilter, AuditRow};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::Viewer;
use super::query::{UUID_REMEDY, number, parse_some, row_number, time, words};
use crate::problem::Problem;

/// Entries in an answer where the caller names no number, and most of them.
const LIMIT_DEFAULT_ENTRIES: u32 = 100;
const LIMIT_MAX_ENTRIES: u32 = 500;
/// Longest beginning of an action that is looked for.
const ACTION_MAX_CHARS: usize = 64;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// About this tenant and what is its only.
    #[param(format = Uuid)]
    tenant: Option<String>,
    /// About this device only.
    #[param(format = Uuid)]
    device: Option<String>,
    /// What the action begins with, such as `dlq`.
    #[param(max_length = 64)]
    action: Option<String>,
    /// From this time on, in milliseconds since 1970.
    #[param(value_type = Option<u64>)]
    since: Option<String>,
    /// `next` of the answer before.
    #[param(value_type = Option<i64>, minimum = 1)]
    before: Option<String>,
    /// Most entries.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 100)]
    limit: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AuditList {
    /// Newest first.
    entries: Vec<AuditRow>,
    /// `before` of the next answer; none: this was the last.
    next: Option<i64>,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The audit log: of one tenant its own entries, and the operator's for tokens of all.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "The entries.", body = AuditList)))]
async fn list(
    Viewer(caller): Viewer,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<AuditList>, Problem> {
    let Query(query) = query?;
    let limit = number("limit", query.limit.as_deref(), LIMIT_DEFAULT_ENTRIES, LIMIT_MAX_ENTRIES)?;
    let action = query.action.as_deref().unwrap_or_default();
    let filter = AuditFilter {
        action: words("action", action, ACTION_MAX_CHARS)?,
        object: None,
        tenant: parse_some("tenant", query.tenant.as_deref(), UUID_REMEDY)?,
        device: parse_some("device", query.device.as_deref(), UUID_REMEDY)?,
        since: time("since", query.since.as_deref())?,
        before: row_number("before", query.before.as_deref())?,
        limit: limit + 1,
    };
    let mut entries = caller.records().audit_rows(filter).await?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| more).map(|last| last.id);
    Ok(Json(AuditList { entries, next }))
}
