//! One connection to the broker: verified, named, never given up.
//!
//! Promises: after the first success it reconnects for ever with full jitter, and
//! [`Broker::connections`] tells who waits that it did; the credentials file is read anew for every
//! attempt, so that new ones are taken without a restart. Refuses: a credentials file that others
//! can read, and a tenant's user without its own inbox.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::sync::watch;

use crate::refusal::{explained, remedy};
use crate::{BrokerSettings, Link, Manner, sign_in};

/// How long the server may take to answer a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that one subscription may hold; far above any pull, or deliveries would be lost.
const SUBSCRIPTION_CAPACITY_MESSAGES: usize = 65_536;
/// Publishes that may be without their ack at one time.
const ACKS_IN_FLIGHT: usize = 1_024;
/// How long a stream may take to confirm a publish.
const PUBLISH_ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none.
    #[error("NATS_URL {url:?} is no broker address; give one such as tls://host:4222")]
    Url {
        /// The part that is wrong.
        url: String,
    },
    /// The credentials file cannot be used.
    #[error("credentials file {path}: {problem}")]
    Creds {
        /// The file.
        path: String,
        /// What is wrong, with the remedy.
        problem: String,
    },
    /// The client certificate cannot be used: what is wrong, with the remedy.
    #[error("{0}")]
    Certificate(String),
    /// The server did not accept the connection.
    #[error("broker {url} did not accept the connection: {reason}")]
    Refused {
        /// Where.
        url: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// A connection to the broker; cheap to clone.
#[derive(Clone)]
pub struct Broker {
    /// Shared, since a copy of the library's own handle costs an allocation and seven counters.
    client: Arc<Client>,
    jetstream: jetstream::Context,
    state: State,
}

#[derive(Clone)]
struct State {
    link: Link,
    permission_violations: Arc<AtomicU64>,
    jetstream_errors: Arc<AtomicU64>,
    last_error: Arc<Mutex<Option<String>>>,
}

impl Broker {
    /// Connects once; from then on the connection heals itself.
    ///
    /// # Errors
    /// The settings are wrong, or the server did not accept the connection.
    pub async fn connect(settings: &BrokerSettings) -> Result<Self, ConnectError> {
        Self::connect_once(settings, &Manner::default()).await
    }

    async fn connect_once(
        settings: &BrokerSettings,
        manner: &Manner,
    ) -> Result<Self, ConnectError> {
        let addresses = addresses(&settings.url)?;
        let state = State {
            link: manner.link.clone(),
            permission_violations: Arc::default(),
            jetstream_errors: Arc::default(),
            last_error: Arc::default(),
        };
        let options = options(settings, manner)?.event_callback(on_event(state.clone()));
        let client = options.connect(addresses).await.map_err(|error| {
            let said = error.to_string();
            let reason = explained(&said);
            manner.link.failed(said);
            ConnectError::Refused { url: without_user_info(&settings.url), reason }
        })?;
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(PUBLISH_ACK_TIMEOUT)
            .ack_timeout(PUBLISH_ACK_TIMEOUT)
            .max_ack_inflight(ACKS_IN_FLIGHT)
            .build(client.clone());
        Ok(Self { client: Arc::new(client), jetstream, state })
    }

    /// Connects, and while the server does not answer tries again for ever; drop the future to
    /// stop.
    ///
    /// # Errors
    /// The settings are wrong, so that trying again would not help.
    pub async fn connect_patiently(settings: &BrokerSettings) -> Result<Self, ConnectError> {
        Self::connect_in(settings, &Manner::default()).await
    }

    /// As [`Broker::connect_patiently`], in a manner of its own.
    ///
    /// # Errors
    /// The settings are wrong, so that trying again would not help.
    pub async fn connect_in(
        settings: &BrokerSettings,
        manner: &Manner,
    ) -> Result<Self, ConnectError> {
        let mut failures = 0;
        loop {
            match Self::connect_once(settings, manner).await {
                Err(error @ ConnectError::Refused { .. }) => {
                    tracing::warn!(%error, "no broker yet, trying again");
                    failures += 1;
                    tokio::time::sleep(manner.pause(failures)).await;
                }
                settled => return settled,
            }
        }
    }

    /// Cuts the connection, as a bad network would; it is made again at once, with the credentials
    /// as they are then.
    pub async fn cut(&self) {
        self.state.link.hurry();
        // Closed for good: there is nothing to cut.
        let _ = self.client.force_reconnect().await;
    }

    /// Counts the connections made so far; changes at every reconnection.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.state.link.connections()
    }

    /// Whether the connection stands now, as far as the client knows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// How often the server refused a subject to us.
    #[must_use]
    pub fn permission_violations(&self) -> u64 {
        self.state.permission_violations.load(Ordering::Relaxed)
    }

    /// How often JetStream answered a request of ours with an error.
    #[must_use]
    pub fn jetstream_errors(&self) -> u64 {
        self.state.jetstream_errors.load(Ordering::Relaxed)
    }

    pub(crate) fn count_jetstream_error(&self) {
        self.state.jetstream_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// The newest error of the connection, for a status page; [`crate::explained`] adds what to do.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.state.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Version of the server.
    #[must_use]
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// Waits until the server has *read* every ack sent so far. Written to the socket is not
    /// enough before an exit: what lies unread at either end is lost when the socket closes.
    ///
    /// # Errors
    /// The broker does not answer; those messages come again.
    pub async fn flush_acks(&self) -> Result<(), BrokerGone> {
        // One connection's messages are read in their order, so an answer means all before it.
        self.stream_state("METRICS").await.map(drop)
    }

    pub(crate) const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    pub(crate) const fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

/// The broker does not answer now; the same call may work later.
#[derive(Debug, thiserror::Error)]
#[error("broker does not answer: {0}")]
pub struct BrokerGone(pub(crate) String);

/// Some put a password into the URL; it must not come back in an error.
fn without_user_info(url: &str) -> String {
    let mut shown = Vec::new();
    for part in url.split(',') {
        let (scheme, rest) = part.split_once("://").unwrap_or(("", part));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        shown.push(if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") });
    }
    shown.join(",")
}

fn addresses(url: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    let parse = |part: &str| {
        let bad = |_| ConnectError::Url { url: without_user_info(part) };
        part.trim().parse::<ServerAddr>().map_err(bad)
    };
    url.split(',').map(parse).collect()
}

fn options(settings: &BrokerSettings, manner: &Manner) -> Result<ConnectOptions, ConnectError> {
    let (delays, link) = (manner.clone(), manner.link.clone());
    let options = match &settings.creds {
        None => ConnectOptions::new(),
        Some(path) => {
            let shown = sign_in::load(path, None).map_err(|problem| ConnectError::Creds {
                path: path.display().to_string(),
                problem,
            })?;
            let inbox_prefix = shown.inbox_prefix();
            let show = sign_in::show(path.clone(), shown.user().name.clone(), manner.link.clone());
            ConnectOptions::with_auth_callback(show).custom_inbox_prefix(inbox_prefix)
        }
    };
    let mut options = options
        .name(&settings.name)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(manner.ping_interval)
        .subscription_capacity(SUBSCRIPTION_CAPACITY_MESSAGES)
        .max_reconnects(None)
        .reconnect_delay_callback(move |attempt| delays.delay(attempt))
        // Asked before every attempt, and the only place that tells why the last one failed.
        .reconnect_to_server_callback(move |servers, _| {
            let failures = servers.into_iter().filter_map(|server| server.last_error);
            link.failed_in_detail(failures.collect());
            std::future::ready(None)
        });
    if settings.url.split(',').any(|url| url.trim_start().starts_with("ws")) {
        // Servers tell their other addresses without a scheme, and the two cannot be mixed.
        options = options.ignore_discovered_servers();
    }
    settings.tls.apply(options).map_err(ConnectError::Certificate)
}

type EventFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Logs what happens to the connection and counts what an operator is asked about.
fn on_event(state: State) -> impl Fn(Event) -> EventFuture + Send + Sync + 'static {
    move |event| {
        match &event {
            Event::Connected => {
                let connections = state.link.stands();
                tracing::info!(connections, "connected to the broker");
            }
            Event::Disconnected => {
                state.link.is_gone();
                tracing::warn!("connection to the broker lost");
            }
            Event::ServerError(error) => {
                let text = error.to_string();
                if text.to_lowercase().contains("permissions violation") {
                    state.permission_violations.fetch_add(1, Ordering::Relaxed);
                }
                state.link.was_told(&text);
                tracing::warn!(
                    error = text,
                    remedy = remedy(&text),
                    "the broker refused something"
                );
                *state.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
            Event::ClientError(error) => {
                let text = error.to_string();
                let said = text.strip_prefix("nats: ").unwrap_or(&text);
                state.link.failed(said.to_owned());
                tracing::warn!(error = text, remedy = remedy(&text), "connection attempt failed");
                *state.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
            Event::SlowConsumer(subscription) => {
                tracing::error!(subscription, "deliveries were dropped in this process");
            }
            Event::LameDuckMode | Event::Draining | Event::Closed => {
                tracing::info!(%event, "connection state");
            }
        }
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::without_user_info;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        assert_eq!(
            without_user_info("tls://me:secret@a:4222,nats://b:4222,me:secret@c"),
            "tls://a:4222,nats://b:4222,c"
        );
    }
}
