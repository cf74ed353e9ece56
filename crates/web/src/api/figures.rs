//! `/v1/metrics`: the page of `/metrics` for a Prometheus on another machine, over HTTPS and for a
//! token of all tenants.

use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use runtime::metrics::{Metrics, PAGE_TYPE};
use storage::Scope;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::Viewer;
use super::query::NoQuery;
use crate::problem::Problem;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(page))
}

/// The figures of this service, as Prometheus reads them; for tokens of all tenants.
#[utoipa::path(get, path = "/v1/metrics", tag = "pipeline",
    responses((status = 200, description = "The figures.", body = String, content_type = "text/plain")))]
async fn page(
    Viewer(caller): Viewer,
    Extension(metrics): Extension<Metrics>,
    query: Result<Query<NoQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    query?;
    if caller.scope != Scope::AllTenants {
        let detail = "these figures are of all tenants, and this sign-in is of one".to_owned();
        return Err(Problem::new(StatusCode::FORBIDDEN, "not of one tenant", detail));
    }
    let page = metrics.page().map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "the figures have no page");
        let detail = "the figures have no page; see the log".to_owned();
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no figures", detail)
    })?;
    Ok(([(CONTENT_TYPE, PAGE_TYPE)], page))
}
