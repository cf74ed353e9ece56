//! What was stored of a device: when it was online, its monitoring reports, its responses.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use protocol::{DeviceId, UnixMillis};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::{ConnectivityChange, RecordFilter, StoredRecord};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::{Caller, Viewer};
use super::query::{UUID_REMEDY, number, parse, row_number, time, words};
use crate::problem::Problem;

/// How far back a timeline goes where the caller names no time.
const SPAN_DEFAULT_MS: i64 = 24 * 3_600_000;
/// Changes in an answer where the caller names no number, and most of them.
const LIMIT_DEFAULT_CHANGES: u32 = 500;
const LIMIT_MAX_CHANGES: u32 = 1_000;
/// Reports in an answer, which may be large each.
const LIMIT_DEFAULT_REPORTS: u32 = 1;
const LIMIT_MAX_REPORTS: u32 = 100;
/// Responses in an answer.
const LIMIT_DEFAULT_RESPONSES: u32 = 50;
const LIMIT_MAX_RESPONSES: u32 = 200;
/// Longest type of a report or id of a command that is looked for.
const WORD_MAX_CHARS: usize = 128;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SpanQuery {
    /// From this time on, in milliseconds since 1970; absent: since a day ago.
    #[param(value_type = Option<u64>)]
    since: Option<String>,
    /// Before this time, in milliseconds since 1970; absent: now.
    #[param(value_type = Option<u64>)]
    until: Option<String>,
    /// Most changes.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 500)]
    limit: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportsQuery {
    /// Of this type only.
    #[param(rename = "type", max_length = 128)]
    r#type: Option<String>,
    /// `next` of the answer before.
    #[param(value_type = Option<i64>, minimum = 1)]
    before: Option<String>,
    /// Most reports.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 1)]
    limit: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResponsesQuery {
    /// To this command only.
    #[param(max_length = 128)]
    command: Option<String>,
    /// `next` of the answer before.
    #[param(value_type = Option<i64>, minimum = 1)]
    before: Option<String>,
    /// Most responses.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Connectivity {
    #[schema(value_type = uuid::Uuid)]
    device: DeviceId,
    #[schema(value_type = i64)]
    since: UnixMillis,
    #[schema(value_type = i64)]
    until: UnixMillis,
    /// What it was at `since`; none: it was not known of.
    online_before: Option<bool>,
    /// Oldest first.
    changes: Vec<ConnectivityChange>,
    /// Whether there are more than `limit`.
    more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Report {
    id: i64,
    r#type: String,
    /// By the device's clock, in milliseconds since 1970.
    sent_at: i64,
    /// By the broker's clock, in milliseconds since 1970.
    received_at: i64,
    #[schema(value_type = Object)]
    payload: Value,
}

#[derive(Debug, Serialize, ToSchema)]
struct ReportList {
    /// Newest first.
    reports: Vec<Report>,
    /// `before` of the next answer; none: this was the last.
    next: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ResponseRow {
    id: i64,
    command_id: Option<String>,
    status: Option<String>,
    /// By the device's clock, in milliseconds since 1970.
    sent_at: i64,
    /// By the broker's clock, in milliseconds since 1970.
    received_at: i64,
    #[schema(value_type = Object)]
    payload: Value,
}

#[derive(Debug, Serialize, ToSchema)]
struct ResponseList {
    /// Newest first.
    responses: Vec<ResponseRow>,
    /// `before` of the next answer; none: this was the last.
    next: Option<i64>,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(connectivity))
        .routes(routes!(reports))
        .routes(routes!(responses))
}

/// When a device came online and went offline.
#[utoipa::path(get, path = "/v1/devices/{device}/connectivity", tag = "devices",
    params(("device" = uuid::Uuid, Path), SpanQuery),
    responses(
        (status = 200, description = "The changes.", body = Connectivity),
        (status = 404, description = "No such device here.", body = Problem,
         content_type = "application/problem+json")))]
async fn connectivity(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<SpanQuery>, QueryRejection>,
) -> Result<Json<Connectivity>, Problem> {
    let (Path(device), Query(query)) = (path?, query?);
    let limit = number("limit", query.limit.as_deref(), LIMIT_DEFAULT_CHANGES, LIMIT_MAX_CHANGES)?;
    let until = time("until", query.until.as_deref())?.unwrap_or_else(UnixMillis::now);
    let since = time("since", query.since.as_deref())?;
    let since = since.unwrap_or_else(|| UnixMillis::new((until.get() - SPAN_DEFAULT_MS).max(0)));
    let device = known(&caller, &device).await?;
    let history = caller.records().connectivity_history(device, since, until, limit + 1).await?;
    let mut changes = history.changes;
    let more = changes.len() > limit as usize;
    changes.truncate(limit as usize);
    let online_before = history.online_before;
    Ok(Json(Connectivity { device, since, until, online_before, changes, more }))
}

/// Monitoring reports of a device.
#[utoipa::path(get, path = "/v1/devices/{device}/reports", tag = "devices",
    params(("device" = uuid::Uuid, Path), ReportsQuery),
    responses(
        (status = 200, description = "The reports.", body = ReportList),
        (status = 404, description = "No such device here.", body = Problem,
         content_type = "application/problem+json")))]
async fn reports(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<ReportsQuery>, QueryRejection>,
) -> Result<Json<ReportList>, Problem> {
    let (Path(device), Query(query)) = (path?, query?);
    let limit = number("limit", query.limit.as_deref(), LIMIT_DEFAULT_REPORTS, LIMIT_MAX_REPORTS)?;
    let data_type = query.r#type.as_deref();
    let data_type = data_type.map(|word| words("type", word, WORD_MAX_CHARS)).transpose()?;
    let before = row_number("before", query.before.as_deref())?;
    let device = known(&caller, &device).await?;
    let (kind, command) = ("monitoring", None);
    let filter = RecordFilter { device, kind, data_type, command, before, limit: limit + 1 };
    let (rows, next) = page(&caller, filter, limit).await?;
    let reports = rows.into_iter().map(|row| Report {
        id: row.id,
        r#type: row.data_type,
        sent_at: row.sent_at.get(),
        received_at: row.received_at.get(),
        payload: row.payload,
    });
    Ok(Json(ReportList { reports: reports.collect(), next }))
}

/// What a device answered to commands.
#[utoipa::path(get, path = "/v1/devices/{device}/responses", tag = "devices",
    params(("device" = uuid::Uuid, Path), ResponsesQuery),
    responses(
        (status = 200, description = "The responses.", body = ResponseList),
        (status = 404, description = "No such device here.", body = Problem,
         content_type = "application/problem+json")))]
async fn responses(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<ResponsesQuery>, QueryRejection>,
) -> Result<Json<ResponseList>, Problem> {
    let (Path(device), Query(query)) = (path?, query?);
    let limit =
        number("limit", query.limit.as_deref(), LIMIT_DEFAULT_RESPONSES, LIMIT_MAX_RESPONSES)?;
    let command = query.command.as_deref();
    let command = command.map(|word| words("command", word, WORD_MAX_CHARS)).transpose()?;
    let before = row_number("before", query.before.as_deref())?;
    let device = known(&caller, &device).await?;
    let (kind, data_type) = ("response", None);
    let filter = RecordFilter { device, kind, data_type, command, before, limit: limit + 1 };
    let (rows, next) = page(&caller, filter, limit).await?;
    let responses = rows.into_iter().map(|row| ResponseRow {
        id: row.id,
        command_id: row.command_id,
        status: row.status,
        sent_at: row.sent_at.get(),
        received_at: row.received_at.get(),
        payload: row.payload,
    });
    Ok(Json(ResponseList { responses: responses.collect(), next }))
}

async fn page(
    caller: &Caller,
    filter: RecordFilter<'_>,
    limit: u32,
) -> Result<(Vec<StoredRecord>, Option<i64>), Problem> {
    let mut rows = caller.records().stored_records(filter).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|last| last.id);
    Ok((rows, next))
}

/// The device, if it is there for the caller.
pub(super) async fn known(caller: &Caller, text: &str) -> Result<DeviceId, Problem> {
    let device: DeviceId = parse("device", text, UUID_REMEDY)?;
    if !caller.records().knows_device(device).await? {
        return Err(Problem::unknown_device(device));
    }
    Ok(device)
}
