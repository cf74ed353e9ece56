//! `/v1`: devices and their newest metric points.
//!
//! Promises: the window is the one of `wegweiser metrics get`: the newest points, ordered by time,
//! each once. Refuses: to answer with nothing where a server is away.

mod caller;
mod dead_letters;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::routing::get;
use axum::{Json, Router};
use broker::Broker;
use protocol::{DeviceId, Labels, MetricType, TenantId};
use serde::{Deserialize, Serialize};
use storage::{ApiRole, DeviceRow, RingPoint, Rings, Scope, WalledRecords};

use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior};

use crate::problem::Problem;
use crate::readiness::pipeline::{Behind, BehindMs};
use caller::{Caller, Viewer};

/// Points in an answer where the caller names no number.
const LAST_DEFAULT_POINTS: u32 = 50;
/// Devices in an answer where the caller names no number.
const LIMIT_DEFAULT_DEVICES: u32 = 100;
/// Most devices in an answer.
const LIMIT_MAX_DEVICES: u32 = 1_000;
/// Dead letters that are sent again, by all callers together.
const REPLAYS_A_SECOND: u32 = 100;
const UUID_REMEDY: &str = "give a UUID: 8-4-4-4-12 hexadecimal digits";
const METRIC_REMEDY: &str = "give 1 to 64 characters of [a-z0-9_], such as cpu_percent";

/// What the handlers read from.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) rings: Rings,
    pub(crate) walled: WalledRecords,
    pub(crate) behind: Behind,
    /// Most points that a ring holds.
    pub(crate) ring_max_points: u32,
    pub(crate) broker: SharedBroker,
    pub(crate) replays: Replays,
}

/// The connection to the broker, once there is one.
pub(crate) type SharedBroker = Arc<OnceLock<Broker>>;

/// Keeps replays of all callers at a rate.
#[derive(Clone)]
pub(crate) struct Replays(Arc<Mutex<Interval>>);

impl Replays {
    pub(crate) fn at_the_usual_rate() -> Self {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / REPLAYS_A_SECOND);
        // After a pause it goes on at the same rate.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Arc::new(Mutex::new(pace)))
    }

    async fn turn(&self) {
        self.0.lock().await.tick().await;
    }
}

impl Api {
    fn broker(&self) -> Result<&Broker, Problem> {
        self.broker.get().ok_or_else(|| {
            let detail = "the broker was not reached yet; see /readyz".to_owned();
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server unavailable", detail)
        })
    }
}

/// Read from pairs, since `label` may be repeated.
#[derive(Debug, Default)]
struct DevicesQuery {
    tenant: Option<String>,
    limit: Option<String>,
    labels: Labels,
}

impl DevicesQuery {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in pairs {
            let once = match name.as_str() {
                "tenant" => query.tenant.replace(value),
                "limit" => query.limit.replace(value),
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricQuery {
    last: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

/// What the caller's own token is worth.
#[derive(Debug, Serialize)]
struct TokenSummary {
    name: String,
    /// None: all.
    tenant: Option<TenantId>,
    role: ApiRole,
}

#[derive(Debug, Serialize)]
struct DeviceList {
    devices: Vec<DeviceRow>,
    /// Whether there are more than `limit`.
    more: bool,
    /// By stream: how long its oldest message waits that is not stored; none: unknown.
    behind_ms: Option<BehindMs>,
}

#[derive(Debug, Serialize)]
struct Window {
    device: DeviceId,
    metric: MetricType,
    points: Vec<RingPoint>,
}

/// The routes.
pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/v1/token", get(token))
        .route("/v1/devices", get(devices))
        .route("/v1/devices/{device}", get(device))
        .route("/v1/devices/{device}/metrics/{metric}", get(metric))
        .merge(dead_letters::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(api)
}

async fn token(Viewer(caller): Viewer) -> Json<TokenSummary> {
    Json(TokenSummary { name: caller.name, tenant: caller.scope.tenant(), role: caller.role })
}

async fn devices(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<DeviceList>, Problem> {
    let Query(pairs) = query?;
    let query = DevicesQuery::read(pairs)?;
    let tenant = match &query.tenant {
        None => None,
        Some(text) => Some(parse::<TenantId>("tenant", text, UUID_REMEDY)?),
    };
    let limit = number("limit", query.limit.as_deref(), LIMIT_DEFAULT_DEVICES, LIMIT_MAX_DEVICES)?;
    let mut devices = caller.records().labelled_devices(tenant, &query.labels, limit + 1).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = devices.len() > limit;
    devices.truncate(limit);
    Ok(Json(DeviceList { devices, more, behind_ms: api.behind.known() }))
}

async fn device(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<NoQuery>, QueryRejection>,
) -> Result<Json<DeviceRow>, Problem> {
    let Path(device) = path?;
    query?;
    let device: DeviceId = parse("device", &device, UUID_REMEDY)?;
    let mut found = caller.records().devices(None, Some(device), 2).await?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(Problem::unknown_device(device)),
        (Some(row), true) => Ok(Json(row)),
        (Some(_), false) => Err(Problem::new(
            StatusCode::CONFLICT,
            "ambiguous device",
            format!("device {device} reports under more than one tenant; give one a new UUID"),
        )),
    }
}

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
    let points = newest(&api.rings, &caller, device, &metric, last).await?;
    Ok(Json(Window { device, metric, points }))
}

/// A ring does not say whose it is: the records say whether the caller may see it. It ends some
/// time after its last point, so that a known device may well have none.
async fn newest(
    rings: &Rings,
    caller: &Caller,
    device: DeviceId,
    metric: &MetricType,
    last: usize,
) -> Result<Vec<RingPoint>, Problem> {
    let is_known = caller.records().knows_device(device).await?;
    if !is_known && caller.scope != Scope::AllTenants {
        return Err(Problem::unknown_device(device));
    }
    let points = rings.newest(device, metric, last).await?;
    if points.is_empty() && !is_known {
        return Err(Problem::unknown_device(device));
    }
    Ok(points)
}

async fn unknown_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; see docs/api.md", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "unknown path", detail)
}

async fn unknown_method(method: Method) -> Problem {
    let detail = format!("{method} is not possible here; see docs/api.md");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unknown method", detail)
}

fn parse<T: std::str::FromStr>(
    field: &'static str,
    text: &str,
    remedy: &str,
) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::bad_value(field, text, remedy))
}

/// A whole number from 1 to `max`.
fn number(field: &'static str, text: Option<&str>, default: u32, max: u32) -> Result<u32, Problem> {
    let Some(text) = text else {
        return Ok(default);
    };
    match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(Problem::bad_value(field, text, &format!("give a whole number from 1 to {max}"))),
    }
}
