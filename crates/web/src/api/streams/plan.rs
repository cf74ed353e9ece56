//! `/v1/streams/plan`: where the declared streams and the broker's differ.
//!
//! The comparison of `wegweiser streams plan`, with the files that this service reads. Refuses to
//! apply anything: the broker lets this service change no stream.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use broker::plan::{Change, Effect, Plan};
use broker::streams::{self, Desired, Mistakes, ServerError, StreamSettings};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::for_all_tenants;
use crate::api::Api;
use crate::api::caller::Viewer;
use crate::api::query::NoQuery;
use crate::problem::Problem;

/// What `wegweiser streams apply` would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Drift {
    /// Whether files and broker agree.
    in_sync: bool,
    /// In the order in which they would be made.
    changes: Vec<DriftChange>,
    /// What was seen and is left alone; never a difference.
    notes: Vec<String>,
}

/// One field of a stream or consumer that differs.
#[derive(Debug, Serialize, ToSchema)]
struct DriftChange {
    /// `stream METRICS`, `consumer METRICS/rings`.
    object: String,
    /// In the server's own words; empty: the whole object.
    field: String,
    /// What the broker has; none: nothing.
    before: Option<Value>,
    /// What the files say; none: it goes.
    after: Option<Value>,
    /// The change in words and units for people.
    summary: String,
    effect: DriftEffect,
    /// What would be lost, or what can be done instead; none: nothing is lost.
    caution: Option<String>,
}

/// What applying the change does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DriftEffect {
    /// The object does not exist yet.
    Create,
    /// It takes a new value.
    Update,
    /// It goes, and no message with it.
    Remove,
    /// It loses data, and is refused unless allowed by name.
    Destructive,
    /// The server cannot make it.
    Immutable,
}

impl From<Plan> for Drift {
    fn from(plan: Plan) -> Self {
        Self {
            in_sync: plan.is_empty(),
            changes: plan.changes.into_iter().map(DriftChange::from).collect(),
            notes: plan.notes,
        }
    }
}

impl From<Change> for DriftChange {
    fn from(change: Change) -> Self {
        let summary = change.summary();
        let (effect, caution) = match change.effect {
            Effect::Create => (DriftEffect::Create, None),
            Effect::Update => (DriftEffect::Update, None),
            Effect::Remove => (DriftEffect::Remove, None),
            Effect::Destructive { loses } => (DriftEffect::Destructive, Some(loses)),
            Effect::Immutable { remedy } => (DriftEffect::Immutable, Some(remedy)),
        };
        let Change { object, field, before, after, .. } = change;
        Self { object, field, before, after, summary, effect, caution }
    }
}

/// What `wegweiser streams apply` would do; for tokens of all tenants.
#[utoipa::path(get, path = "/v1/streams/plan", tag = "pipeline",
    responses(
        (status = 200, description = "Where files and broker differ.", body = Drift),
        (status = 409, description = "This service has no files to compare with.", body = Problem,
         content_type = "application/problem+json")))]
pub(super) async fn plan(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    query: Result<Query<NoQuery>, QueryRejection>,
) -> Result<Json<Drift>, Problem> {
    query?;
    for_all_tenants(&caller)?;
    let desired = read(Arc::clone(&api.stream_files)).await?;
    let plan = streams::plan(api.broker()?, &desired).await.map_err(|error| not_asked(&error))?;
    Ok(Json(plan.into()))
}

/// Reads the files, beside the requests of others.
async fn read(files: Arc<StreamSettings>) -> Result<Desired, Problem> {
    let reading =
        tokio::task::spawn_blocking(move || streams::load(&files.directory, files.replicas));
    match reading.await {
        Ok(read) => read.map_err(|mistakes| no_files(&mistakes)),
        Err(error) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(Problem::new(status, "stopping", error.to_string()))
        }
    }
}

fn no_files(mistakes: &Mistakes) -> Problem {
    let remedy = "set WEGWEISER_STREAMS_DIR for this service to the directory of the stream files, \
                  or run where they are: wegweiser streams plan";
    let problem =
        Problem::new(StatusCode::CONFLICT, "nothing to compare with", mistakes.to_string());
    problem.with_remedy(remedy)
}

fn not_asked(error: &ServerError) -> Problem {
    tracing::warn!(%error, "cannot compare the streams");
    let remedy =
        "where this service's role may not list streams yet, run: wegweiser accounts apply";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem::new(status, "cannot compare", error.to_string()).with_remedy(remedy)
}
