//! A server, its streams seen from outside, and a device with an outbox under delivery.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use broker::{Bounds, Broker, BrokerGone, BrokerSettings, BrokerTls, Outbox, Sender};
use devstack::Nats;
use protocol::{DeviceId, Kind, MetricType, SessionId, TenantId, UnixMillis};
use runtime::shutdown::CancellationToken;
use tokio::task::JoinHandle;

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const DEVICE: &str = "22222222-2222-4222-8222-222222222222";
/// Bound on everything that a test waits for.
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) fn server() -> Nats {
    Nats::builder().config("jetstream { max_file_store: 64GB }").start().unwrap()
}

pub(crate) fn settings(url: &str) -> BrokerSettings {
    BrokerSettings {
        url: url.to_owned(),
        creds: None,
        tls: BrokerTls::default(),
        name: "outbox test".to_owned(),
    }
}

pub(crate) fn sender() -> Sender {
    Sender {
        tenant: TENANT.parse::<TenantId>().unwrap(),
        device: DEVICE.parse::<DeviceId>().unwrap(),
        session: SessionId::start(),
    }
}

pub(crate) fn metric() -> Kind {
    Kind::Metric("cpu_percent".parse::<MetricType>().unwrap())
}

/// Waits for what has to become true.
pub(crate) async fn until<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What an operator sees.
pub(crate) struct Streams(jetstream::Context);

impl Streams {
    pub(crate) async fn open(url: &str) -> Self {
        Self(jetstream::new(async_nats::connect(url).await.unwrap()))
    }

    pub(crate) async fn open_as(url: &str, user: &str) -> Self {
        let options = async_nats::ConnectOptions::new();
        let options = options.user_and_password(user.to_owned(), "pw".to_owned());
        Self(jetstream::new(options.connect(url).await.unwrap()))
    }

    /// Two streams: metrics, and everything else of a device.
    pub(crate) async fn create(&self) {
        self.create_one("METRICS", "demo.system.>").await;
        self.create_one("RECORDS", "tenant.>").await;
    }

    pub(crate) async fn create_one(&self, name: &str, subject: &str) {
        self.configure(name, subject, -1).await;
    }

    /// `max_messages` above 0: the stream refuses more.
    pub(crate) async fn configure(&self, name: &str, subject: &str, max_messages: i64) {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            max_messages,
            discard: stream::DiscardPolicy::New,
            ..stream::Config::default()
        };
        self.0.create_or_update_stream(config).await.unwrap();
    }

    pub(crate) async fn count(&self, name: &str) -> u64 {
        self.0.get_stream(name).await.unwrap().cached_info().state.messages
    }

    /// The ids of every message, in the order of the stream.
    pub(crate) async fn ids(&self, name: &str) -> Vec<String> {
        let stream = self.0.get_stream(name).await.unwrap();
        let state = &stream.cached_info().state;
        let mut ids = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            ids.push(message.headers.get("Nats-Msg-Id").unwrap().to_string());
        }
        ids
    }
}

/// A device whose outbox is being delivered.
pub(crate) struct Device {
    pub(crate) outbox: Outbox,
    stop: CancellationToken,
    delivery: JoinHandle<Result<u64, BrokerGone>>,
}

impl Device {
    pub(crate) async fn start(settings: &BrokerSettings, bounds: Bounds) -> Self {
        Self::deliver(settings, Outbox::new(sender(), bounds)).await
    }

    pub(crate) async fn deliver(settings: &BrokerSettings, outbox: Outbox) -> Self {
        let broker = Broker::connect(settings).await.unwrap();
        let stop = CancellationToken::new();
        let (delivered, stopped) = (outbox.clone(), stop.clone());
        let delivery = tokio::spawn(async move {
            delivered.deliver(&broker, &stopped, Duration::from_secs(5)).await
        });
        Self { outbox, stop, delivery }
    }

    pub(crate) fn hand_over(&self, kind: Kind, count: usize) {
        for _ in 0..count {
            self.outbox.hand_over(kind.clone(), UnixMillis::now(), "{}".into()).unwrap();
        }
    }

    pub(crate) async fn until_empty(&self) {
        until("everything is confirmed", async || self.outbox.figures().depth() == 0).await;
    }

    pub(crate) async fn until_trouble(&self, words: &str) {
        until(words, async || {
            self.outbox.figures().last_error.is_some_and(|error| error.contains(words))
        })
        .await;
    }

    /// Ends it as a kill would, with nothing flushed.
    pub(crate) async fn abort(self) {
        self.delivery.abort();
        assert!(self.delivery.await.unwrap_err().is_cancelled());
    }

    /// Stops the delivery; how many messages are left.
    pub(crate) async fn close(self) -> u64 {
        self.stop.cancel();
        self.delivery.await.unwrap().unwrap()
    }
}
