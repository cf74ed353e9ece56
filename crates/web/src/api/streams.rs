//! `/v1/streams`: what each stream holds, and how far its readers are.
//!
//! Asked of the broker at each request. Refuses callers of one tenant: the figures are of all.

mod plan;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use broker::{Broker, BrokerGone};
use serde::Serialize;
use storage::Scope;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::{Caller, Viewer};
use super::query::NoQuery;
use crate::problem::Problem;

/// Every stream of ours with the durable consumer that receivers read it by.
const STREAMS: [(&str, Option<&str>); 8] = [
    ("METRICS", Some("rings")),
    ("METRICS_DEFERRED", Some("rings")),
    ("HEARTBEATS", Some("connectivity")),
    ("MONITORING", Some("records")),
    ("RESPONSES", Some("records")),
    ("COMMANDS", None),
    ("DEAD_LETTERS", None),
    ("ADVISORIES", Some("crash-poison")),
];

#[derive(Debug, Serialize, ToSchema)]
struct StreamList {
    streams: Vec<StreamRow>,
}

#[derive(Debug, Serialize, ToSchema)]
struct StreamRow {
    name: &'static str,
    /// Messages that it keeps.
    messages: u64,
    /// What they take on disk.
    bytes: u64,
    /// What they may take; none: as much as there is.
    max_bytes: Option<u64>,
    /// When the broker took the oldest that it keeps, in milliseconds since 1970.
    oldest: Option<i64>,
    /// When the broker took the newest, in milliseconds since 1970.
    newest: Option<i64>,
    /// How many it ever took.
    last_sequence: u64,
    /// How long its oldest message waits that is not stored; none: unknown, or nobody stores it.
    behind_ms: Option<i64>,
    consumers: Vec<ConsumerRow>,
    /// Consumers of devices.
    device_consumers: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct ConsumerRow {
    name: &'static str,
    /// Messages that wait to be delivered.
    pending: u64,
    /// Messages that are delivered and not settled.
    ack_pending: u64,
    /// Among these, delivered more than once.
    redelivered: u64,
    /// Requests of receivers that wait at the broker; 0 and no `ack_pending`: nobody reads.
    waiting_pulls: u64,
    delivered_sequence: u64,
    /// Everything up to it is settled.
    ack_floor_sequence: u64,
    /// Whether somebody paused it.
    paused: bool,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(plan::plan))
}

/// The streams; for tokens of all tenants.
#[utoipa::path(get, path = "/v1/streams", tag = "pipeline",
    responses((status = 200, description = "The streams.", body = StreamList)))]
async fn list(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    query: Result<Query<NoQuery>, QueryRejection>,
) -> Result<Json<StreamList>, Problem> {
    query?;
    for_all_tenants(&caller)?;
    let broker = api.broker()?;
    let mut streams = Vec::with_capacity(STREAMS.len());
    let behind = api.behind.known().unwrap_or_default();
    for (name, consumer) in STREAMS {
        let row = row(broker, name, consumer).await?;
        streams.push(StreamRow { behind_ms: behind.get(name).copied(), ..row });
    }
    Ok(Json(StreamList { streams }))
}

fn for_all_tenants(caller: &Caller) -> Result<(), Problem> {
    if caller.scope == Scope::AllTenants {
        return Ok(());
    }
    let detail = "streams hold what is of all tenants, and this sign-in is of one".to_owned();
    Err(Problem::new(StatusCode::FORBIDDEN, "not of one tenant", detail))
}

async fn row(
    broker: &Broker,
    name: &'static str,
    consumer: Option<&'static str>,
) -> Result<StreamRow, BrokerGone> {
    let (state, usage) = broker.stream_standing(name).await?;
    let mut consumers = Vec::new();
    if let Some(consumer) = consumer {
        let found = broker.consumer_state(name, consumer).await?;
        consumers.push(ConsumerRow {
            name: consumer,
            pending: found.num_pending,
            ack_pending: found.num_ack_pending,
            redelivered: found.num_redelivered,
            waiting_pulls: found.num_waiting,
            delivered_sequence: found.delivered_until(),
            ack_floor_sequence: found.settled_until(),
            paused: found.paused,
        });
    }
    let is_empty = state.messages == 0;
    Ok(StreamRow {
        name,
        messages: usage.messages,
        bytes: usage.bytes,
        max_bytes: usage.limit_bytes,
        oldest: (!is_empty).then(|| state.first_taken().get()),
        newest: (state.last_sequence > 0).then(|| state.last_taken().get()),
        last_sequence: state.last_sequence,
        behind_ms: None,
        device_consumers: state.consumer_count.saturating_sub(consumers.len() as u64),
        consumers,
    })
}
