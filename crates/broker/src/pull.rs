//! Pulling from a durable consumer: one request at a time, and no delivery lost on the way.
//!
//! The library's own streams give up on a request by the client's clock, with messages still in
//! their buffer, and fetch ahead of what can be kept alive. Here a request ends when the *server*
//! says so; until then everything it sends is taken. After a reconnection, or when the server
//! stays silent past the request's life, a new request is made, so that no consumer stalls.
//!
//! Promises: at most `batch` deliveries, and [`REQUEST_MAX_BYTES`], are ever held unseen by the
//! caller; without a connection nothing is requested.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{StatusCode, Subscriber};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use protocol::{DeviceId, UnixMillis};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::delivery::Origin;
use crate::{Broker, BrokerGone, Delivery};

/// How long one request waits at the server for messages. Also bounds how long a quiet
/// receiver takes to stop.
const REQUEST_LIFE: Duration = Duration::from_secs(2);
/// As that, for one of many devices: they would keep the server busy with asking.
const REQUEST_LIFE_OF_DEVICE: Duration = Duration::from_secs(30);
/// How long a device's command may be held before it is delivered again: its consumer is made so.
const ACK_WAIT_OF_DEVICE: Duration = Duration::from_secs(30);
/// The stream that devices pull from.
const COMMANDS: &str = "COMMANDS";
/// Silence after the request's life before it is taken for lost.
const REQUEST_LOST_AFTER: Duration = Duration::from_secs(2);
/// While there is no connection, how often its state is looked at beside waiting for the news.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Most bytes that one request brings, so that memory is bounded for large messages too. Above
/// the largest message that a stream takes, or that would never be delivered.
const REQUEST_MAX_BYTES: usize = 4 * 1024 * 1024;

/// How far the broker's clock and ours may be apart, when a restart of the broker is dated.
const CLOCKS_APART_MS: i64 = 10_000;

/// A durable consumer from which deliveries are pulled.
pub struct Pull {
    broker: Broker,
    subscriber: Subscriber,
    connections: watch::Receiver<u64>,
    stream: Arc<str>,
    request_subject: String,
    inbox: String,
    /// Counts the requests: each has a reply subject of its own, so that the belated end of one
    /// is not taken for the end of the next.
    requests: u64,
    batch: usize,
    ack_wait: Duration,
    /// Which run of which server the connection leads to.
    server_id: String,
    /// A server that was killed may have forgotten acks and attempts of what is older.
    forgotten_before: UnixMillis,
    /// Messages that the request under way may still bring.
    outstanding: usize,
    requested: Instant,
    /// How long the request under way waits at the server.
    life: Duration,
    of_device: bool,
    /// When the first delivery of the request under way was here.
    arrived: Instant,
    closing: bool,
}

/// What the server said instead of a message.
enum Status {
    Deliver,
    Ignore,
    RequestEnded,
    NobodyThere(String),
}

impl Pull {
    /// Pulls from consumer `consumer` of stream `stream`, `batch` messages a request.
    ///
    /// # Errors
    /// There is no such consumer, or the connection is closed.
    pub async fn open(
        broker: &Broker,
        stream: &str,
        consumer: &str,
        batch: usize,
    ) -> Result<Self, BrokerGone> {
        let state = broker.consumer_state(stream, consumer).await?;
        let forgotten_before =
            if state.remembers_deliveries() { UnixMillis::new(0) } else { horizon_of_now() };
        Self::start(broker, stream, consumer, batch, (state.ack_wait(), forgotten_before)).await
    }

    /// Pulls a device's own commands with its own credentials, which let it ask for nothing else:
    /// whether there is a consumer shows in whether [`Pull::next`] brings an error.
    pub(crate) async fn of_device(
        broker: &Broker,
        device: DeviceId,
        batch: usize,
    ) -> Result<Self, BrokerGone> {
        let known = (ACK_WAIT_OF_DEVICE, UnixMillis::new(0));
        let pull = Self::start(broker, COMMANDS, &device.to_string(), batch, known).await?;
        Ok(Self { of_device: true, ..pull })
    }

    async fn start(
        broker: &Broker,
        stream: &str,
        consumer: &str,
        batch: usize,
        (ack_wait, forgotten_before): (Duration, UnixMillis),
    ) -> Result<Self, BrokerGone> {
        let inbox = broker.client().new_inbox();
        let subscriber = broker
            .client()
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|error| BrokerGone(error.to_string()))?;
        Ok(Self {
            broker: broker.clone(),
            subscriber,
            connections: broker.connections(),
            stream: stream.into(),
            request_subject: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            inbox,
            requests: 0,
            batch,
            ack_wait,
            server_id: broker.client().server_info().server_id,
            forgotten_before,
            outstanding: 0,
            requested: Instant::now(),
            life: REQUEST_LIFE,
            of_device: false,
            arrived: Instant::now(),
            closing: false,
        })
    }

    /// Waits for deliveries and returns all that are there, at least one and at most `batch`;
    /// `Ok(None)` once [`Pull::close`] was called and the last request has ended.
    ///
    /// # Errors
    /// The consumer is missing or the connection closed; call again after a pause. Deliveries are
    /// not lost by an error, nor by dropping the future.
    pub async fn next(&mut self) -> Result<Option<Vec<Delivery>>, BrokerGone> {
        let mut deliveries = Vec::new();
        while deliveries.is_empty() {
            if self.outstanding == 0 {
                if self.closing {
                    return Ok(None);
                }
                self.wait_for_connection().await?;
                self.send_request().await?;
            }
            deliveries.extend(self.receive().await?);
        }
        self.take_what_is_there(&mut deliveries);
        Ok(Some(deliveries))
    }

    /// Takes what the request under way has brought, without waiting.
    fn take_what_is_there(&mut self, into: &mut Vec<Delivery>) {
        // What comes past the stream does not count for the request, and is bounded all the same.
        for _ in 0..self.batch {
            if self.outstanding == 0 {
                return;
            }
            // The runtime would say that nothing is there after 128 in a row.
            let next = tokio::task::unconstrained(self.subscriber.next());
            let Some(Some(message)) = next.now_or_never() else { return };
            // An error ends the request; the next one meets it again, and these are not lost.
            let Ok(delivery) = self.take(message) else { return };
            into.extend(delivery);
        }
    }

    /// Takes what arrives beside other work, into a buffer that the caller keeps alive: the
    /// request under way and, where `ahead` allows and the buffer is empty, one more. Never
    /// returns; safe to drop at any await.
    pub async fn absorb(&mut self, into: &mut Vec<Delivery>, ahead: bool) {
        loop {
            if self.outstanding == 0 {
                let one_more =
                    ahead && into.is_empty() && !self.closing && self.broker.is_connected();
                // An error shows again in `next`, which is where it is handled.
                if !one_more || self.send_request().await.is_err() {
                    return std::future::pending().await;
                }
            }
            match self.receive().await {
                Ok(delivery) => {
                    into.extend(delivery);
                    self.take_what_is_there(into);
                }
                Err(_) => return std::future::pending().await,
            }
        }
    }

    /// How long a delivery may be held without a sign of life before it is delivered again.
    #[must_use]
    pub const fn ack_wait(&self) -> Duration {
        self.ack_wait
    }

    /// Makes no more requests.
    pub const fn close(&mut self) {
        self.closing = true;
    }

    /// Without a connection requests would queue up in the client, and all be answered later.
    async fn wait_for_connection(&mut self) -> Result<(), BrokerGone> {
        let mut connections = self.connections.clone();
        while !self.broker.is_connected() {
            let changed = tokio::time::timeout(LOOK_AGAIN_AFTER, connections.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                return Err(BrokerGone("the connection is closed".to_owned()));
            }
        }
        Ok(())
    }

    async fn send_request(&mut self) -> Result<(), BrokerGone> {
        self.connections.mark_unchanged();
        self.meet_server();
        self.requests += 1;
        let (batch, expires_ns) = (self.batch, self.life.as_nanos());
        let request = format!(
            r#"{{"batch":{batch},"max_bytes":{REQUEST_MAX_BYTES},"expires":{expires_ns}}}"#
        );
        self.broker
            .client()
            .publish_with_reply(
                self.request_subject.clone(),
                self.reply_subject(),
                Bytes::from(request),
            )
            .await
            .map_err(|error| BrokerGone(error.to_string()))?;
        self.outstanding = self.batch;
        self.requested = Instant::now();
        Ok(())
    }

    /// Another server, or the same one started again: what it wrote of our acks may be old.
    fn meet_server(&mut self) {
        let server_id = self.broker.client().server_info().server_id;
        if server_id != self.server_id {
            tracing::info!(consumer = self.request_subject, "another run of the broker");
            self.server_id = server_id;
            self.forgotten_before = horizon_of_now();
        }
    }

    fn reply_subject(&self) -> String {
        format!("{}.{}", self.inbox, self.requests)
    }

    /// The next delivery, or `None` where the request ended.
    async fn receive(&mut self) -> Result<Option<Delivery>, BrokerGone> {
        let lost_at = self.requested + self.life + REQUEST_LOST_AFTER;
        tokio::select! {
            // What has arrived is taken before a request is given up.
            biased;
            message = self.subscriber.next() => match message {
                Some(message) => self.take(message),
                None => Err(BrokerGone("the subscription is closed".to_owned())),
            },
            _ = self.connections.changed() => {
                tracing::info!(consumer = self.request_subject, "connection made again, pulling anew");
                self.outstanding = 0;
                Ok(None)
            }
            () = tokio::time::sleep_until(lost_at), if self.broker.is_connected() => {
                self.went_silent()
            }
        }
    }

    /// Across accounts the server says nothing of a consumer that is not there.
    fn went_silent(&mut self) -> Result<Option<Delivery>, BrokerGone> {
        self.outstanding = 0;
        if self.of_device {
            self.life = REQUEST_LIFE;
            return Err(BrokerGone(format!("{}: no answer", self.request_subject)));
        }
        tracing::warn!(consumer = self.request_subject, "pull request went silent, pulling anew");
        Ok(None)
    }

    /// The server knows the consumer, so that a device need not ask often.
    const fn answered(&mut self) {
        if self.of_device {
            self.life = REQUEST_LIFE_OF_DEVICE;
        }
    }

    fn take(&mut self, message: async_nats::Message) -> Result<Option<Delivery>, BrokerGone> {
        match status(&message) {
            // Judged like any other, so that a forgery is refused and counted; no answer of the
            // server's to the request.
            Status::Deliver if self.of_device && !Delivery::is_of_consumer(&message) => {
                let client = self.broker.client();
                Ok(Some(Delivery::past_the_stream(client, message, self.stream.clone())))
            }
            Status::Deliver => {
                self.answered();
                if self.outstanding == self.batch {
                    self.arrived = Instant::now();
                }
                self.outstanding = self.outstanding.saturating_sub(1);
                let origin = Origin {
                    stream: &self.stream,
                    forgotten_before: self.forgotten_before,
                    arrived: self.arrived,
                    // It was sent at the request at the earliest; half, so that there is time left.
                    ours_until: self.requested + self.ack_wait / 2,
                };
                Ok(Delivery::new(self.broker.client(), message, origin))
            }
            // Deliveries come under their own subject, words about a request under its reply's.
            _ if *message.subject != self.reply_subject() => Ok(None),
            Status::Ignore => Ok(None),
            Status::RequestEnded => {
                self.answered();
                self.outstanding = 0;
                Ok(None)
            }
            Status::NobodyThere(reason) => {
                self.outstanding = 0;
                self.broker.count_jetstream_error();
                Err(BrokerGone(format!("{}: {reason}", self.request_subject)))
            }
        }
    }
}

fn horizon_of_now() -> UnixMillis {
    UnixMillis::new(UnixMillis::now().get().saturating_add(CLOCKS_APART_MS))
}

fn status(message: &async_nats::Message) -> Status {
    const CONFLICT: u16 = 409;
    let Some(code) = message.status else {
        return Status::Deliver;
    };
    let reason = || message.description.as_ref().map_or(String::new(), ToString::to_string);
    match code {
        StatusCode::OK => Status::Deliver,
        StatusCode::IDLE_HEARTBEAT => Status::Ignore,
        StatusCode::TIMEOUT | StatusCode::NOT_FOUND => Status::RequestEnded,
        StatusCode::NO_RESPONDERS => {
            Status::NobodyThere("no such stream or consumer; run `wegweiser streams apply`".into())
        }
        code if code.as_u16() == CONFLICT => conflict(&reason()),
        code => Status::NobodyThere(format!("status {} {}", code.as_u16(), reason())),
    }
}

/// 409 ends a request for many reasons. Two are the ordinary end of one; after any other an
/// immediate new request would only meet the same again.
fn conflict(reason: &str) -> Status {
    let reason = reason.to_lowercase();
    if reason.contains("batch completed") || reason.contains("message size exceeds maxbytes") {
        return Status::RequestEnded;
    }
    if reason.contains("consumer deleted") || reason.contains("push based") {
        return Status::NobodyThere(format!("{reason}; run `wegweiser streams apply`"));
    }
    Status::NobodyThere(reason)
}
