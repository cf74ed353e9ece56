//! `/healthz` (the process is alive), `/readyz` (each dependency, with its reason) and `/metrics`
//! (its figures).
//!
//! A part reports its own state with [`Part::up`] and [`Part::down`]; ready means that every
//! part is up and that the process is not draining. It answers until the draining is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use crate::metrics::{Metrics, PAGE_TYPE};
use crate::shutdown::CancellationToken;

/// State of every part of this process.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<Arc<str>, String>>>,
}

/// The state of a part that works.
const UP: &str = "up";

impl Health {
    /// Adds a part, which is down until it says otherwise.
    #[must_use]
    pub fn part(&self, name: &str) -> Part {
        let name: Arc<str> = name.into();
        self.lock().insert(Arc::clone(&name), "starting".to_owned());
        Part { health: self.clone(), name }
    }

    /// Whether every part is up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(|state| state == UP)
    }

    /// From now on the process is not ready, whatever its parts say: it takes nothing new.
    pub fn drain(&self) {
        self.lock().insert("process".into(), "draining".to_owned());
    }

    /// In one line: ready, or what is not up and why.
    #[must_use]
    pub fn summary(&self) -> String {
        let parts = self.lock();
        let down = parts.iter().filter(|(_, state)| *state != UP);
        let down: Vec<String> = down.map(|(name, state)| format!("{name}: {state}")).collect();
        if down.is_empty() { "ready".to_owned() } else { down.join("; ") }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, String>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One dependency or task of this process.
#[derive(Clone, Debug)]
pub struct Part {
    health: Health,
    name: Arc<str>,
}

impl Part {
    /// It works. Logs when that is news.
    pub fn up(&self) {
        if self.set(UP) {
            tracing::info!(part = %self.name, "up");
        }
    }

    /// It does not, and why. Logs when that is news.
    pub fn down(&self, reason: &str) {
        if self.set(reason) {
            tracing::warn!(part = %self.name, reason, "down");
        }
    }

    fn set(&self, state: &str) -> bool {
        let previous = self.health.lock().insert(Arc::clone(&self.name), state.to_owned());
        previous.as_deref() != Some(state)
    }
}

/// The three routes, for a service that has a router of its own.
pub fn routes(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|| async move { page(&metrics) }))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> (StatusCode, Json<BTreeMap<String, String>>) {
    let status = if health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let parts = health.lock();
    let states = parts.iter().map(|(name, state)| (name.to_string(), state.clone())).collect();
    (status, Json(states))
}

fn page(metrics: &Metrics) -> Response {
    match metrics.page() {
        Ok(page) => ([(CONTENT_TYPE, PAGE_TYPE)], page).into_response(),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the figures have no page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Listens for [`serve`].
///
/// # Errors
/// The address cannot be listened on.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listen on {listen}: choose another address"))?;
    tracing::info!(address = %listener.local_addr()?, "health listening");
    Ok(listener)
}

/// Serves the three routes until `stop`.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let served = axum::serve(listener, routes(health, metrics))
        .with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "health endpoint ended");
    }
}
