//! How many letters there are, by stream and reason, counted by the broker.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use broker::dead_letters::{LetterCount, LetterFilter};
use protocol::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::api::caller::{Caller, Viewer};
use crate::problem::Problem;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CountQuery {
    /// Stream of the originals.
    stream: Option<String>,
    /// Why they were parked.
    reason: Option<String>,
    /// A tenant's UUID, or `unknown`.
    tenant: Option<String>,
    /// A device's UUID, or `unknown`.
    device: Option<String>,
}

/// Letters in all, and by stream and reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DeadLetterCounts)]
pub(crate) struct Counts {
    total: u64,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DeadLetterGroup)]
struct Group {
    stream: String,
    reason: String,
    letters: u64,
}

impl Counts {
    /// Adds up what `counted` says.
    pub(crate) fn of<'a>(counted: impl Iterator<Item = &'a LetterCount>) -> Self {
        let mut groups: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for count in counted {
            *groups.entry((&count.stream, &count.reason)).or_default() += count.letters;
        }
        let total = groups.values().sum();
        let groups = groups.into_iter().map(|((stream, reason), letters)| Group {
            stream: stream.to_owned(),
            reason: reason.to_owned(),
            letters,
        });
        Self { total, groups: groups.collect() }
    }
}

/// How many letters of a tenant, or of all, there are.
pub(crate) async fn letter_counts(api: &Api, tenant: Option<TenantId>) -> Result<Counts, Problem> {
    let tenant = tenant.map(|tenant| tenant.to_string());
    let filter = LetterFilter::new(None, None, tenant.as_deref(), None);
    let filter = filter
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad query", error.to_string()))?;
    Ok(Counts::of(api.broker()?.dead_letter_counts(&filter).await?.iter()))
}

/// How many letters there are, by stream and reason.
#[utoipa::path(get, path = "/v1/dead-letters/counts", tag = "dead letters", params(CountQuery),
    responses((status = 200, description = "The counts.", body = Counts)))]
pub(super) async fn counts(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    query: Result<Query<CountQuery>, QueryRejection>,
) -> Result<Json<Counts>, Problem> {
    let Query(query) = query?;
    let own = caller.scope.tenant().map(|tenant| tenant.to_string());
    if is_others(&caller, query.tenant.as_deref()) {
        return Ok(Json(Counts::default()));
    }
    let (stream, reason) = (query.stream.as_deref(), query.reason.as_deref());
    let tenant = own.as_deref().or(query.tenant.as_deref());
    let filter = LetterFilter::new(stream, reason, tenant, query.device.as_deref());
    let filter = filter
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad query", error.to_string()))?;
    let counted = api.broker()?.dead_letter_counts(&filter).await?;
    Ok(Json(Counts::of(counted.iter())))
}

/// Whether a tenant that is asked for is another than the caller's.
fn is_others(caller: &Caller, asked: Option<&str>) -> bool {
    let own = caller.scope.tenant().map(|tenant| tenant.to_string());
    matches!((own, asked), (Some(own), Some(asked)) if !own.eq_ignore_ascii_case(asked))
}
