//! `/v1/devices/{device}/metrics`: the newest points, of one metric or of all.
//!
//! Promises: the window is the one of `wegweiser metrics get`: the newest points, ordered by time,
//! each once. A ring does not say whose it is, so the records say whether the caller may see it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use protocol::{AGENT_METRICS, DeviceId, MetricType};
use serde::{Deserialize, Serialize};
use storage::{FleetRow, RingPoint, Rings, Scope};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::{Caller, Viewer};
use super::query::{METRIC_REMEDY, UUID_REMEDY, number, parse};
use crate::problem::Problem;

/// Points in an answer where the caller names no number.
const LAST_DEFAULT_POINTS: u32 = 50;
/// Most metrics that a query names.
const METRICS_MAX: usize = 64;

/// Points as pairs of time and value, oldest first.
pub(crate) type Points = Vec<(i64, f64)>;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MetricQuery {
    /// How many points; the most is `METRICS_MAX_POINTS`.
    #[param(value_type = Option<u32>, minimum = 1, default = 50)]
    last: Option<String>,
}

#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
struct MetricsQuery {
    /// How many points of each; the most, and what is given where it is not said, is
    /// `METRICS_MAX_POINTS`.
    #[param(value_type = Option<u32>, minimum = 1)]
    last: Option<String>,
    /// Of these only; absent: all that there are.
    #[param(rename = "metric", value_type = Option<Vec<String>>, style = Form, explode, max_items = 64)]
    metrics: Vec<String>,
}

impl MetricsQuery {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "metric" if query.metrics.len() == METRICS_MAX => {
                    let remedy = format!("give at most {METRICS_MAX} of them");
                    return Err(Problem::bad_value("metric", &value, &remedy));
                }
                "metric" => query.metrics.push(value),
                "last" if query.last.is_some() => return Err(Problem::repeated_parameter(&name)),
                "last" => query.last = Some(value),
                _ => return Err(Problem::unknown_parameter(&name)),
            }
        }
        Ok(query)
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Window {
    #[schema(value_type = uuid::Uuid)]
    device: DeviceId,
    #[schema(value_type = String)]
    metric: MetricType,
    points: Vec<RingPoint>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Windows {
    #[schema(value_type = uuid::Uuid)]
    device: DeviceId,
    /// By metric: pairs of time and value, oldest first.
    #[schema(value_type = BTreeMap<String, Vec<Vec<f64>>>)]
    metrics: BTreeMap<MetricType, Points>,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metric)).routes(routes!(metrics))
}

/// The newest points of one metric.
#[utoipa::path(get, path = "/v1/devices/{device}/metrics/{metric}", tag = "metrics",
    params(("device" = uuid::Uuid, Path), ("metric" = String, Path), MetricQuery),
    responses(
        (status = 200, description = "The points.", body = Window),
        (status = 404, description = "No such device here.", body = Problem,
         content_type = "application/problem+json")))]
async fn metric(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<MetricQuery>, QueryRejection>,
) -> Result<Json<Window>, Problem> {
    let Path((device, metric)) = path?;
    let Query(query) = query?;
    let device: DeviceId = parse("device", &device, UUID_REMEDY)?;
    let metric: MetricType = parse("metric", &metric, METRIC_REMEDY)?;
    let default = LAST_DEFAULT_POINTS.min(api.ring_max_points);
    let last = number("last", query.last.as_deref(), default, api.ring_max_points)?;
    let last = usize::try_from(last).unwrap_or(usize::MAX);
    let is_known = is_known(&caller, device).await?;
    let points = api.rings.newest(device, &metric, last).await?;
    if points.is_empty() && !is_known {
        return Err(Problem::unknown_device(device));
    }
    Ok(Json(Window { device, metric, points }))
}

/// The newest points of several metrics, or all.
#[utoipa::path(get, path = "/v1/devices/{device}/metrics", tag = "metrics",
    params(("device" = uuid::Uuid, Path), MetricsQuery),
    responses(
        (status = 200, description = "The points of each metric that has some.", body = Windows),
        (status = 404, description = "No such device here.", body = Problem,
         content_type = "application/problem+json")))]
async fn metrics(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<Windows>, Problem> {
    let Path(device) = path?;
    let Query(pairs) = query?;
    let query = MetricsQuery::read(pairs)?;
    let device: DeviceId = parse("device", &device, UUID_REMEDY)?;
    let last = number("last", query.last.as_deref(), api.ring_max_points, api.ring_max_points)?;
    let named = query.metrics.iter().map(|metric| parse("metric", metric, METRIC_REMEDY));
    let named = named.collect::<Result<BTreeSet<MetricType>, Problem>>()?;
    let is_known = is_known(&caller, device).await?;
    let wanted = if named.is_empty() { types(&api, device).await } else { named };
    let metrics = windows(&api.rings, device, &wanted, last).await?;
    if metrics.is_empty() && !is_known {
        return Err(Problem::unknown_device(device));
    }
    Ok(Json(Windows { device, metrics }))
}

/// A ring ends some time after its last point, so that a known device may well have none; one that
/// nobody knows may have one, which a caller of all tenants is shown.
async fn is_known(caller: &Caller, device: DeviceId) -> Result<bool, Problem> {
    let is_known = caller.records().knows_device(device).await?;
    if !is_known && caller.scope != Scope::AllTenants {
        return Err(Problem::unknown_device(device));
    }
    Ok(is_known)
}

/// The metrics that a device may have rings of: those of every agent, and what the broker has seen.
pub(crate) async fn types(api: &Api, device: DeviceId) -> BTreeSet<MetricType> {
    let mut types: BTreeSet<MetricType> =
        AGENT_METRICS.iter().filter_map(|name| name.parse().ok()).collect();
    if let Some(broker) = api.broker.get() {
        match broker.metric_types(device).await {
            Ok(seen) => types.extend(seen),
            Err(error) => tracing::warn!(%error, "cannot tell which metrics a device sends"),
        }
    }
    types
}

/// The newest points of each metric that has some.
pub(crate) async fn windows(
    rings: &Rings,
    device: DeviceId,
    metrics: &BTreeSet<MetricType>,
    last: u32,
) -> Result<BTreeMap<MetricType, Points>, Problem> {
    let asked: Vec<(DeviceId, &MetricType)> =
        metrics.iter().map(|metric| (device, metric)).collect();
    let found = rings.newest_of(&asked, last as usize).await?;
    let mut windows = BTreeMap::new();
    for (metric, points) in metrics.iter().zip(found) {
        if !points.is_empty() {
            windows.insert(metric.clone(), pairs(&points));
        }
    }
    Ok(windows)
}

/// The newest points of the same metrics of each of these devices.
pub(super) async fn newest_of(
    rings: &Rings,
    rows: &[FleetRow],
    metrics: &[MetricType],
    points: u32,
) -> Result<HashMap<DeviceId, BTreeMap<MetricType, Points>>, Problem> {
    let mut asked = Vec::with_capacity(rows.len() * metrics.len());
    for row in rows {
        asked.extend(metrics.iter().map(|metric| (row.device, metric)));
    }
    let found = rings.newest_of(&asked, points as usize).await?;
    let mut newest: HashMap<DeviceId, BTreeMap<MetricType, Points>> = HashMap::new();
    for ((device, metric), points) in asked.into_iter().zip(found) {
        if !points.is_empty() {
            newest.entry(device).or_default().insert(metric.clone(), pairs(&points));
        }
    }
    Ok(newest)
}

fn pairs(points: &[RingPoint]) -> Points {
    points.iter().map(|point| (point.timestamp.get(), point.value)).collect()
}
