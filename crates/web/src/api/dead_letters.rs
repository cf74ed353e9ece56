//! `/v1/dead-letters`: looked at by viewers, sent again and discarded by operators, one at a time.
//!
//! Promises: a token of one tenant meets that tenant's letters alone; what is changed stands in the
//! audit log before it is done and with what came of it, under the token's name; a letter goes only
//! after its stream has the message, or with a reason.

mod change;
pub(super) mod counts;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use broker::Broker;
use broker::dead_letters::{Letter, LetterError, LetterFilter};
use protocol::headers;
use serde::{Deserialize, Serialize};
use storage::Scope;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::{Caller, Viewer};
use super::query::{number, time};
use crate::problem::Problem;

/// Letters in an answer where the caller names no number, and most of them.
const LIMIT_DEFAULT_LETTERS: u32 = 100;
const LIMIT_MAX_LETTERS: u32 = 256;
const SEQUENCE_REMEDY: &str = "give a letter's sequence, as GET /v1/dead-letters shows it";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Stream of the originals.
    stream: Option<String>,
    /// Why they were parked.
    reason: Option<String>,
    /// A tenant's UUID, or `unknown`.
    tenant: Option<String>,
    /// A device's UUID, or `unknown`.
    device: Option<String>,
    /// Parked at this time or later, in milliseconds since 1970.
    #[param(value_type = Option<u64>)]
    since: Option<String>,
    /// Parked before this time, in milliseconds since 1970.
    #[param(value_type = Option<u64>)]
    until: Option<String>,
    /// `next` of the answer before.
    #[param(value_type = Option<u64>, minimum = 1)]
    from: Option<String>,
    /// Most letters.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 256, default = 100)]
    limit: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct LetterList {
    letters: Vec<Row>,
    /// `from` of the next answer; none: this was the last.
    next: Option<u64>,
}

/// A letter without its payload, named as `wegweiser dlq list --output json` names it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterRow)]
struct Row {
    sequence: u64,
    parked_ms: i64,
    stream: String,
    reason: String,
    tenant: String,
    device: String,
    attempts: Option<u64>,
    detail: String,
    origin_sequence: Option<u64>,
    origin_subject: String,
    message_id: Option<String>,
    tombstone: bool,
    payload_bytes: usize,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct Whole {
    #[serde(flatten)]
    row: Row,
    headers: Vec<(String, String)>,
    /// As text; what is no UTF-8 is replaced.
    payload: String,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(counts::counts))
        .routes(routes!(show))
        .routes(routes!(change::replay))
        .routes(routes!(change::discard))
}

/// Messages that could not be applied, oldest first.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", params(ListQuery),
    responses((status = 200, description = "The letters.", body = LetterList)))]
async fn list(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<LetterList>, Problem> {
    let Query(query) = query?;
    let limit = number("limit", query.limit.as_deref(), LIMIT_DEFAULT_LETTERS, LIMIT_MAX_LETTERS)?;
    let from = match &query.from {
        None => 1,
        Some(text) => sequence(text, "from")?,
    };
    let own = caller.scope.tenant().map(|tenant| tenant.to_string());
    if let (Some(own), Some(asked)) = (&own, &query.tenant)
        && !own.eq_ignore_ascii_case(asked)
    {
        return Ok(Json(LetterList { letters: Vec::new(), next: None }));
    }
    let (stream, reason) = (query.stream.as_deref(), query.reason.as_deref());
    let tenant = own.as_deref().or(query.tenant.as_deref());
    let filter = LetterFilter::new(stream, reason, tenant, query.device.as_deref());
    let mut filter = filter
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad query", error.to_string()))?;
    filter.since = time("since", query.since.as_deref())?;
    filter.until = time("until", query.until.as_deref())?;
    let mut page = api.broker()?.dead_letters(&filter, from).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if let Some(beyond) = page.letters.get(limit) {
        page.next = Some(beyond.sequence);
        page.letters.truncate(limit);
    }
    let letters = page.letters.iter().map(row).collect();
    Ok(Json(LetterList { letters, next: page.next }))
}

/// One letter, with its payload.
#[utoipa::path(get, path = "/v1/dead-letters/{sequence}", tag = "dead letters",
    params(("sequence" = u64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The letter.", body = Whole),
        (status = 404, description = "No such letter here.", body = Problem,
         content_type = "application/problem+json")))]
async fn show(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Whole>, Problem> {
    let Path(text) = path?;
    let letter = letter(api.broker()?, &caller, &text).await?;
    Ok(Json(Whole {
        row: row(&letter),
        payload: String::from_utf8_lossy(&letter.payload).into_owned(),
        headers: letter.headers,
    }))
}

/// The letter, if it is there for the caller.
async fn letter(broker: &Broker, caller: &Caller, text: &str) -> Result<Letter, Problem> {
    let sequence = sequence(text, "sequence")?;
    let found = broker.dead_letter(sequence).await?;
    let is_visible = |letter: &Letter| match caller.scope {
        Scope::AllTenants => true,
        Scope::Tenant(tenant) => letter.tenant() == tenant.to_string(),
        Scope::Nobody => false,
    };
    found.filter(is_visible).ok_or_else(|| {
        let detail = format!("there is no dead letter {sequence}; GET /v1/dead-letters lists them");
        Problem::new(StatusCode::NOT_FOUND, "unknown dead letter", detail)
    })
}

fn sequence(text: &str, field: &'static str) -> Result<u64, Problem> {
    let sequence = text.parse().ok().filter(|sequence| *sequence > 0);
    sequence.ok_or_else(|| Problem::bad_value(field, text, SEQUENCE_REMEDY))
}

fn row(letter: &Letter) -> Row {
    let id = letter.header(headers::MESSAGE_ID);
    Row {
        sequence: letter.sequence,
        parked_ms: letter.parked.get(),
        stream: letter.stream().to_owned(),
        reason: letter.reason().to_owned(),
        tenant: letter.tenant().to_owned(),
        device: letter.device().to_owned(),
        attempts: letter.attempts(),
        detail: letter.header(headers::DETAIL).to_owned(),
        origin_sequence: letter.origin_sequence(),
        origin_subject: letter.header(headers::SUBJECT).to_owned(),
        message_id: (!id.is_empty()).then(|| id.to_owned()),
        tombstone: letter.is_tombstone(),
        payload_bytes: letter.payload.len(),
    }
}

impl From<LetterError> for Problem {
    fn from(error: LetterError) -> Self {
        tracing::warn!(%error, "cannot answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server unavailable", error.to_string())
    }
}
