//! Accepts connections and ends them, and has commands published meanwhile.
//!
//! Promises: connections, a request's head and the time for it are bounded; at a signal, requests
//! under way are answered within the grace time; a connection counts from its first byte, so that a
//! TLS handshake that hangs is bounded too.

mod dispatch;
mod etag;
mod first_link;
mod page;
mod tls;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::{Extension, Router, middleware};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use runtime::health::{self, Health};
use runtime::manager;
use runtime::metrics::{self, Metrics};
use runtime::shutdown::CancellationToken;
use storage::{Rings, Scope, WalledRecords};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::api::live::{Live, Sources};
use crate::api::{self, Api, CommandDesk, Replays, SharedBroker};
use crate::enrolment::{self, Enrolling, Issuer};
use crate::guard::rate::{self, Rates};
use crate::guard::{self, Peer};
use crate::readiness::{self, pipeline};
use crate::settings::WebSettings;
use dispatch::{Dispatch, Figures};
use tls::Certificates;
pub(crate) use tls::TlsFiles;

/// Connections at one time; more wait to be accepted.
const CONNECTIONS_MAX: u32 = 1_024;
/// Largest head of a request (hyper's least is 8 KiB).
const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Longest time for a request's head, and for a connection without a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time from the signal to the end.
const GRACE: Duration = Duration::from_secs(10);
/// Pause after a failed accept: file descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`.
///
/// # Errors
/// The settings make no address, or the address cannot be listened on.
pub(crate) async fn run(settings: &WebSettings, stop: CancellationToken) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, "starting");
    let metrics = metrics::start("wegweiser-web", version, &settings.telemetry)?;
    let rings = Rings::open(&settings.redis)?;
    let walled = WalledRecords::open(&settings.postgres)?;
    let certificates = settings.tls.clone().map(Certificates::load).transpose()?;
    let acceptor = certificates.as_ref().map(Certificates::acceptor).transpose()?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("listening on {} (WEGWEISER_WEB_LISTEN)", settings.listen))?;
    let address = listener.local_addr()?;
    let health = Health::default();
    let issuer = match &settings.enrolment {
        Some(enrolment) => Some(Issuer::open(enrolment, walled.clone())?),
        None => None,
    };
    let renewing = issuer.clone().map(|issuer| {
        tokio::spawn(enrolment::answer_renewals(settings.broker.clone(), issuer, stop.clone()))
    });
    let dispatching = dispatching(settings, &walled, &metrics, &stop);
    let connection = SharedBroker::default();
    let (asker, behind) = pipeline::behind();
    let broker = (settings.broker.clone(), connection.clone(), asker);
    let meter = metrics.meter();
    let watched = readiness::watch(&health, rings.clone(), &walled, broker, meter, &stop);
    let sources = Sources { broker: connection.clone(), walled: walled.clone() };
    let live = Live::new(sources, &metrics.meter(), &stop);
    let page = page_url(settings, address);
    let offering = tokio::spawn(first_link::offer(page, walled.clone(), stop.clone()));
    let api = Api {
        rings,
        walled,
        ring_max_points: settings.redis.max_points,
        broker: connection,
        behind,
        commands: CommandDesk::new(settings.command_keys.clone()),
        replays: Replays::at_the_usual_rate(),
        lockout: Arc::default(),
        rates: Rates::new(settings.caller_requests, settings.address_requests),
        stream_files: Arc::new(settings.streams.clone()),
        live: live.clone(),
    };
    let secure = settings.tls.is_some();
    tracing::info!(%address, tls = secure, "listening");
    let doors = Doors {
        router: router(api, Enrolling::new(issuer), health.clone(), (&metrics, secure)),
        tls: acceptor,
    };
    let told = manager::keep_told(health.clone(), stop.clone());
    let closing = CancellationToken::new();
    let noticed = async {
        notice(&health, settings.unready, &stop).await;
        closing.cancel();
    };
    let accepting = doors.accept(listener, &closing);
    let (followed, (), (), ()) =
        tokio::join!(follow(certificates.as_deref(), &stop), accepting, noticed, told);
    live.finish().await;
    offering.await.context("offering a link")?;
    watched.join_all().await;
    if let Some(renewing) = renewing {
        renewing.await.context("answering renewals")?;
    }
    dispatching.await.context("publishing commands")?;
    metrics.finish().await;
    tracing::info!("stopped");
    followed
}

/// Publishes commands in the background.
fn dispatching(
    settings: &WebSettings,
    walled: &WalledRecords,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let dispatch = Dispatch {
        records: walled.within(Scope::AllTenants),
        grace: settings.command_grace,
        retention: settings.command_retention,
        figures: Figures::new(&metrics.meter()),
    };
    tokio::spawn(dispatch.run(settings.broker.clone(), stop.clone()))
}

/// Takes up renewed certificates, where there are any.
async fn follow(
    certificates: Option<&Certificates>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    match certificates {
        Some(certificates) => certificates.follow(stop).await,
        None => Ok(()),
    }
}

/// Where people find the page.
fn page_url(settings: &WebSettings, address: SocketAddr) -> String {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    settings.url.clone().unwrap_or_else(|| format!("{scheme}://{address}"))
}

fn router(
    api: Api,
    enrolling: Enrolling,
    health: Health,
    (metrics, tls): (&Metrics, bool),
) -> Router {
    let requests = guard::requests(&metrics.meter());
    let rates = api.rates.clone();
    api::openapi::with_document(api::routes(api).merge(enrolment::routes(enrolling)))
        .layer(middleware::from_fn(etag::conditional))
        .layer(middleware::from_fn_with_state(rates, rate::by_address))
        .merge(health::routes(health, metrics.clone()))
        .fallback(page::serve)
        .method_not_allowed_fallback(api::unknown_method)
        .layer(Extension(metrics.clone()))
        .layer(middleware::from_fn(guard::bound))
        .layer(middleware::from_fn_with_state(requests, guard::name_and_log))
        .layer(middleware::from_fn_with_state(tls, guard::fence))
}

/// Done once whoever sends requests here has had time to see that no more should come.
async fn notice(health: &Health, unready: Duration, stop: &CancellationToken) {
    stop.cancelled().await;
    health.drain();
    tokio::time::sleep(unready).await;
}

/// Where connections come in.
struct Doors {
    router: Router,
    tls: Option<TlsAcceptor>,
}

impl Doors {
    /// Takes connections until `closing`, and then answers those that are there.
    async fn accept(&self, listener: TcpListener, closing: &CancellationToken) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        loop {
            let accepted = tokio::select! {
                accepted = next(&listener, &permits) => accepted,
                () = closing.cancelled() => break,
            };
            let (stream, peer, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Handlers see who is at the other end.
            let router = self.router.clone().layer(Extension(Peer(peer.ip().to_canonical())));
            let (tls, stop) = (self.tls.clone(), closing.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(stream, router, stop).await,
                    Some(tls) => match timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
                        Ok(Ok(stream)) => serve(stream, router, stop).await,
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("TLS handshake took too long"),
                    },
                }
                drop(permit);
            });
        }
        drop(listener);
        // Whoever has all places knows that nobody else has one.
        if timeout(GRACE, permits.acquire_many(CONNECTIONS_MAX)).await.is_err() {
            tracing::warn!(grace_seconds = GRACE.as_secs(), "connections were cut off");
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_MAX_BYTES);
    let connection = http
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> anyhow::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}
