//! `/v1`: what people and programs see of the fleet, and what they may change.
//!
//! Promises: what is another tenant's is not there; each path is in the OpenAPI document, which is
//! made of the handlers themselves. Refuses: to answer with nothing where a server is away.

mod audit;
mod caller;
mod commands;
mod dead_letters;
mod devices;
mod enroll_tokens;
mod figures;
mod history;
pub(crate) mod live;
mod lockout;
mod metrics;
pub(crate) mod openapi;
mod query;
mod registry;
mod session;
mod streams;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use broker::Broker;
use broker::streams::StreamSettings;
use protocol::TenantId;
use serde::Serialize;
use storage::{ApiRole, Rings, WalledRecords};
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::guard::rate::Rates;
use crate::problem::Problem;
use crate::readiness::pipeline::Behind;
use caller::Viewer;
pub(crate) use commands::CommandDesk;
use live::Live;
use lockout::Lockout;

/// Dead letters that are sent again, by all callers together.
const REPLAYS_A_SECOND: u32 = 100;

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
    pub(crate) commands: CommandDesk,
    pub(crate) lockout: Arc<Lockout>,
    pub(crate) rates: Rates,
    /// Where the files of the streams are, to compare with.
    pub(crate) stream_files: Arc<StreamSettings>,
    pub(crate) live: Live,
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
        self.broker.get().ok_or_else(Problem::no_broker_yet)
    }
}

/// What the caller's own token is worth.
#[derive(Debug, Serialize, ToSchema)]
struct TokenSummary {
    name: String,
    /// None: all.
    #[schema(value_type = Option<uuid::Uuid>)]
    tenant: Option<TenantId>,
    role: ApiRole,
}

/// The routes.
pub(crate) fn routes(api: Api) -> OpenApiRouter {
    openapi::router()
        .routes(routes!(token))
        .merge(session::routes())
        .merge(devices::routes())
        .merge(metrics::routes())
        .merge(history::routes())
        .merge(commands::routes())
        .merge(dead_letters::routes())
        .merge(registry::routes())
        .merge(enroll_tokens::routes())
        .merge(audit::routes())
        .merge(streams::routes())
        .merge(figures::routes())
        .merge(live::routes())
        .with_state(api)
}

/// What the token or session of the request is worth.
#[utoipa::path(get, path = "/v1/token", tag = "sign-in",
    responses((status = 200, description = "Whose and what.", body = TokenSummary)))]
async fn token(Viewer(caller): Viewer) -> Json<TokenSummary> {
    Json(TokenSummary { name: caller.name, tenant: caller.scope.tenant(), role: caller.role })
}

/// Answers for what is at no path.
pub(crate) async fn unknown_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}; see docs/api.md", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "unknown path", detail)
}

/// Answers for a method that a path does not have.
pub(crate) async fn unknown_method(method: Method) -> Problem {
    let detail = format!("{method} is not possible here; see docs/api.md");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unknown method", detail)
}
