//! `/v1/live`: a WebSocket on which a client is told of what happens as it happens.
//!
//! Promises: what a client may see is asked of the same walls as every other path, at each
//! subscription, and whether it is still signed in while it listens; sockets, subscriptions and
//! what waits for a socket are bounded; a cut loses nothing that the rings still hold. See
//! docs/adr/0020-sessions-and-live-push.md.

mod feeds;
mod frames;
mod hub;
mod socket;

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use opentelemetry::metrics::{Counter, Meter, UpDownCounter};
use runtime::shutdown::CancellationToken;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::LiveCaller;
use crate::problem::Problem;
pub(crate) use feeds::Sources;
use hub::Hub;

/// Sockets at one time.
const SOCKETS_MAX: usize = 2_048;
/// Longest frame of a client.
const FRAME_MAX_BYTES: usize = 4 * 1024;
/// What may wait in a socket beside its queue.
const WRITE_BUFFER_MAX_BYTES: usize = 1024 * 1024;

/// Reasons to close, as the client is told them.
mod code {
    pub(super) const STOPPING: u16 = 1001;
    pub(super) const SIGNED_OUT: u16 = 4001;
    pub(super) const BAD_FRAME: u16 = 4003;
    pub(super) const TOO_SLOW: u16 = 4008;
    pub(super) const TOO_MANY: u16 = 4029;
}

/// What sockets share; cheap to clone.
#[derive(Clone)]
pub(crate) struct Live {
    hub: Hub,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
    figures: Figures,
}

/// How sockets fare.
#[derive(Clone)]
struct Figures {
    sockets: UpDownCounter<i64>,
    shed: Counter<u64>,
    frames: Counter<u64>,
}

impl Live {
    pub(crate) fn new(sources: Sources, meter: &Meter, stop: &CancellationToken) -> Self {
        let figures = Figures {
            sockets: meter
                .i64_up_down_counter("wegweiser_live_sockets")
                .with_description("Live sockets that are open.")
                .build(),
            shed: meter
                .u64_counter("wegweiser_live_shed_total")
                .with_description(
                    "Live sockets that were closed because their client read too slowly.",
                )
                .build(),
            frames: meter
                .u64_counter("wegweiser_live_frames_total")
                .with_description("Frames that were sent over live sockets.")
                .build(),
        };
        // There from the start, so that a rate has something to begin with.
        figures.sockets.add(0, &[]);
        figures.shed.add(0, &[]);
        figures.frames.add(0, &[]);
        Self {
            hub: Hub::new(sources),
            places: Arc::new(Semaphore::new(SOCKETS_MAX)),
            stop: stop.clone(),
            tasks: TaskTracker::new(),
            figures,
        }
    }

    /// Waits for sockets and feeds to end, once it is stopping.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.hub.close().await;
    }
}

/// The route.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(live))
}

/// Opens a live socket; what is said on it is in docs/api.md.
#[utoipa::path(get, path = "/v1/live", tag = "live",
    responses(
        (status = 101, description = "The socket is open."),
        (status = 426, description = "This is no WebSocket.", body = Problem,
         content_type = "application/problem+json")))]
async fn live(
    LiveCaller(caller): LiveCaller,
    State(api): State<Api>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        let detail = format!("{}; open a WebSocket here", rejection.body_text());
        Problem::new(StatusCode::UPGRADE_REQUIRED, "no WebSocket", detail)
    })?;
    let live = api.live.clone();
    let upgrade = upgrade
        .max_message_size(FRAME_MAX_BYTES)
        .max_frame_size(FRAME_MAX_BYTES)
        .read_buffer_size(FRAME_MAX_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_MAX_BYTES);
    let running = live.tasks.token();
    Ok(upgrade.on_upgrade(async move |socket| {
        let Ok(place) = Arc::clone(&live.places).try_acquire_owned() else {
            return turn_away(socket).await;
        };
        live.figures.sockets.add(1, &[]);
        socket::run(socket, caller, &api, &live).await;
        live.figures.sockets.add(-1, &[]);
        drop((place, running));
    }))
}

async fn turn_away(mut socket: WebSocket) {
    let reason = "too many sockets; try again later".into();
    // The client may be gone, which is as well.
    let _ = socket.send(Message::Close(Some(CloseFrame { code: code::TOO_MANY, reason }))).await;
}
