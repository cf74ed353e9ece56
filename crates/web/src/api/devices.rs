//! `/v1/devices`: the fleet as a table, and one device.
//!
//! Promises: pages follow each other without a repetition or a hole, however many devices come and
//! go meanwhile; the newest values of chosen metrics come in the same answer.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use data_encoding::BASE64URL_NOPAD;
use protocol::{DeviceId, Labels, MetricType, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::{FleetPosition, FleetQuery, FleetRow, FleetSort, FleetState, FleetTotals};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::Viewer;
use super::metrics::{Points, newest_of};
use super::query::{METRIC_REMEDY, NoQuery, UUID_REMEDY, number, parse, parse_some, words};
use crate::problem::Problem;
use crate::readiness::pipeline::BehindMs;

/// Devices in an answer where the caller names no number, and most of them.
const LIMIT_DEFAULT_DEVICES: u32 = 100;
const LIMIT_MAX_DEVICES: u32 = 1_000;
/// Most devices that a query names.
const NAMED_MAX_DEVICES: usize = 40;
/// Most metrics of each device in a list, and most points of each.
const METRICS_MAX: usize = 8;
const POINTS_MAX: u32 = 60;
/// Longest text to look for.
const TEXT_MAX_CHARS: usize = 100;
const STATE_REMEDY: &str = "give online, offline, revoked or unseen";
const SORT_REMEDY: &str = "give device, name, state, last_heartbeat, agent_version or clock_offset, with - before it \
     for the other way round";
const AFTER_REMEDY: &str = "give what `next` of the answer before said, with the same filters";

/// Read from pairs, since some may be repeated.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
struct DevicesQuery {
    /// Of this tenant only.
    #[param(format = Uuid)]
    tenant: Option<String>,
    /// `key=value`; repeated, only devices with all of them.
    #[param(rename = "label", value_type = Option<Vec<String>>, style = Form, explode)]
    labels: Labels,
    /// In this state only.
    #[param(value_type = Option<FleetState>)]
    state: Option<String>,
    /// Part of the name, id, hostname, agent version or a label.
    #[param(max_length = 100)]
    text: Option<String>,
    /// Only these; at most 40.
    #[param(rename = "device", value_type = Option<Vec<uuid::Uuid>>, style = Form, explode, max_items = 40)]
    devices: Vec<String>,
    /// `device` where it is not said; `-` in front turns it round.
    #[param(pattern = "^-?(device|name|state|last_heartbeat|agent_version|clock_offset)$")]
    sort: Option<String>,
    /// Most devices of the answer.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// `next` of the answer before.
    after: Option<String>,
    /// Adds the newest points of this metric to each device; at most 8.
    #[param(rename = "metric", value_type = Option<Vec<String>>, style = Form, explode, max_items = 8)]
    metrics: Vec<String>,
    /// How many points.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 60, default = 1)]
    points: Option<String>,
}

impl DevicesQuery {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in pairs {
            let once = match name.as_str() {
                "tenant" => query.tenant.replace(value),
                "limit" => query.limit.replace(value),
                "state" => query.state.replace(value),
                "text" => query.text.replace(value),
                "sort" => query.sort.replace(value),
                "after" => query.after.replace(value),
                "points" => query.points.replace(value),
                "device" => several("device", &mut query.devices, value, NAMED_MAX_DEVICES)?,
                "metric" => several("metric", &mut query.metrics, value, METRICS_MAX)?,
                "label" => {
                    let set = query.labels.set_pair(&value);
                    set.map_err(|error| Problem::bad_value("label", &value, &error.to_string()))?;
                    None
                }
                _ => return Err(Problem::unknown_parameter(&name)),
            };
            if once.is_some() {
                return Err(Problem::repeated_parameter(&name));
            }
        }
        Ok(query)
    }
}

/// Takes one of several values; there is never one that it replaces.
fn several(
    field: &'static str,
    values: &mut Vec<String>,
    value: String,
    max: usize,
) -> Result<Option<String>, Problem> {
    if values.len() == max {
        return Err(Problem::bad_value(field, &value, &format!("give at most {max} of them")));
    }
    values.push(value);
    Ok(None)
}

#[derive(Debug, Serialize, ToSchema)]
struct DeviceList {
    devices: Vec<Device>,
    /// Whether there are more than `limit`.
    more: bool,
    /// `after` of the next answer; none: this was the last.
    next: Option<String>,
    /// By stream: how long its oldest message waits that is not stored; none: unknown.
    #[schema(value_type = Option<BTreeMap<String, i64>>)]
    behind_ms: Option<BehindMs>,
}

/// A device in the list.
#[derive(Debug, Serialize, ToSchema)]
struct Device {
    #[serde(flatten)]
    row: FleetRow,
    /// The newest points of the metrics that were asked for, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, Vec<Vec<f64>>>>, nullable = false)]
    metrics: Option<BTreeMap<MetricType, Points>>,
}

/// A device by itself.
#[derive(Debug, Serialize, ToSchema)]
struct WholeDevice {
    #[serde(flatten)]
    row: FleetRow,
    /// What else its newest heartbeat said; none: there was none.
    #[schema(value_type = Option<Object>)]
    info: Option<Value>,
}

/// Devices by how they are.
#[derive(Debug, Serialize, ToSchema)]
struct Fleet {
    #[serde(flatten)]
    totals: FleetTotals,
    /// By stream: how long its oldest message waits that is not stored; none: unknown.
    #[schema(value_type = Option<BTreeMap<String, i64>>)]
    behind_ms: Option<BehindMs>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FleetFilter {
    /// Of this tenant only.
    #[param(format = Uuid)]
    tenant: Option<String>,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(fleet)).routes(routes!(list)).routes(routes!(device))
}

/// How many devices there are, and how they are.
#[utoipa::path(get, path = "/v1/fleet", tag = "devices", params(FleetFilter),
    responses((status = 200, description = "The counts.", body = Fleet)))]
async fn fleet(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    query: Result<Query<FleetFilter>, QueryRejection>,
) -> Result<Json<Fleet>, Problem> {
    let Query(filter) = query?;
    let tenant = parse_some::<TenantId>("tenant", filter.tenant.as_deref(), UUID_REMEDY)?;
    let totals = caller.records().fleet_totals(tenant).await?;
    Ok(Json(Fleet { totals, behind_ms: api.behind.known() }))
}

/// Devices that ever sent a heartbeat, or are in a state that is asked for.
#[utoipa::path(get, path = "/v1/devices", tag = "devices", params(DevicesQuery),
    responses((status = 200, description = "The devices.", body = DeviceList)))]
async fn list(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<DeviceList>, Problem> {
    let Query(pairs) = query?;
    let query = DevicesQuery::read(pairs)?;
    let limit = number("limit", query.limit.as_deref(), LIMIT_DEFAULT_DEVICES, LIMIT_MAX_DEVICES)?;
    let points = number("points", query.points.as_deref(), 1, POINTS_MAX)?;
    let (sort, descending) = sort(query.sort.as_deref())?;
    let text = query.text.as_deref().map(|text| words("text", text, TEXT_MAX_CHARS)).transpose()?;
    let metrics = all("metric", &query.metrics, METRIC_REMEDY)?;
    let devices = all("device", &query.devices, UUID_REMEDY)?;
    let after = query.after.as_deref().map(position).transpose()?;
    let mut rows = caller
        .records()
        .fleet(&FleetQuery {
            tenant: parse_some("tenant", query.tenant.as_deref(), UUID_REMEDY)?,
            labels: &query.labels,
            state: parse_some("state", query.state.as_deref(), STATE_REMEDY)?,
            text,
            devices: &devices,
            sort,
            descending,
            after: after.as_ref(),
            limit: limit + 1,
        })
        .await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| cursor(&last.position()));
    let mut newest = newest_of(&api.rings, &rows, &metrics, points).await?;
    let mut devices = Vec::with_capacity(rows.len());
    for row in rows {
        let metrics = (!metrics.is_empty()).then(|| newest.remove(&row.device).unwrap_or_default());
        devices.push(Device { row, metrics });
    }
    Ok(Json(DeviceList { devices, more, next, behind_ms: api.behind.known() }))
}

/// One device.
#[utoipa::path(get, path = "/v1/devices/{device}", tag = "devices",
    params(("device" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The device.", body = WholeDevice),
        (status = 404, description = "No such device here.", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "Two tenants report a device of this id.", body = Problem,
         content_type = "application/problem+json")))]
async fn device(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<NoQuery>, QueryRejection>,
) -> Result<Json<WholeDevice>, Problem> {
    let Path(device) = path?;
    query?;
    let device: DeviceId = parse("device", &device, UUID_REMEDY)?;
    let mut found = caller.records().fleet_device(device).await?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(Problem::unknown_device(device)),
        (Some((row, info)), true) => Ok(Json(WholeDevice { row, info })),
        (Some(_), false) => Err(Problem::ambiguous_device(device)),
    }
}

fn all<T: std::str::FromStr>(
    field: &'static str,
    texts: &[String],
    remedy: &str,
) -> Result<Vec<T>, Problem> {
    texts.iter().map(|text| parse(field, text, remedy)).collect()
}

fn sort(text: Option<&str>) -> Result<(FleetSort, bool), Problem> {
    let Some(text) = text else {
        return Ok((FleetSort::Device, false));
    };
    let (name, descending) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let sort = name.parse().map_err(|_| Problem::bad_value("sort", text, SORT_REMEDY))?;
    Ok((sort, descending))
}

/// The last row's place, for whoever asks for the next.
fn cursor(position: &FleetPosition) -> String {
    BASE64URL_NOPAD.encode(json!(position).to_string().as_bytes())
}

fn position(text: &str) -> Result<FleetPosition, Problem> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let position = bytes.and_then(|bytes| serde_json::from_slice::<FleetPosition>(&bytes).ok());
    let position = position.filter(|position| !position.key.chars().any(char::is_control));
    position.ok_or_else(|| Problem::bad_value("after", text, AFTER_REMEDY))
}
