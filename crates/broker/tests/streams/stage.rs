//! A server of its own for each test, with a private copy of the repository's files.

use std::fs;
use std::path::{Path, PathBuf};

use async_nats::jetstream::{self, stream};
use broker::plan::Plan;
use broker::streams::{Applied, ApplyError, Desired, Destructive, apply, load, plan};
use broker::{Broker, BrokerSettings, BrokerTls};
use devstack::Nats;
use serde_json::Value;

pub(crate) const REPOSITORY_FILES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../nats/streams");
pub(crate) const HEARTBEAT: &str = "tenant.t.device.d.status.heartbeat";

/// A server of its own and a private copy of the repository's files.
pub(crate) struct Stage {
    pub(crate) broker: Broker,
    pub(crate) jetstream: jetstream::Context,
    files: tempfile::TempDir,
    _nats: Nats,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with_config("jetstream { max_file_store: 64GB }").await
    }

    pub(crate) async fn with_config(config: &str) -> Self {
        let nats = Nats::builder().config(config).start().unwrap();
        let settings = BrokerSettings {
            url: nats.url().to_owned(),
            creds: None,
            tls: BrokerTls::default(),
            name: "streams test".to_owned(),
        };
        let broker = Broker::connect(&settings).await.unwrap();
        let client = async_nats::connect(nats.url()).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        copy(Path::new(REPOSITORY_FILES), files.path());
        Self { broker, jetstream: jetstream::new(client), files, _nats: nats }
    }

    pub(crate) async fn applied() -> Self {
        Self::applied_to("jetstream { max_file_store: 64GB }").await
    }

    pub(crate) async fn applied_to(config: &str) -> Self {
        let stage = Self::with_config(config).await;
        stage.apply(Destructive::Refuse).await.unwrap();
        stage
    }

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.files.path().join(path)
    }

    pub(crate) fn desired(&self) -> Desired {
        load(self.files.path(), None).unwrap()
    }

    pub(crate) fn set(&self, path: &str, field: &str, value: Value) {
        let path = self.file(path);
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config[field] = value;
        fs::write(&path, config.to_string()).unwrap();
    }

    pub(crate) async fn plan(&self) -> Plan {
        plan(&self.broker, &self.desired()).await.unwrap()
    }

    pub(crate) async fn apply(&self, destructive: Destructive) -> Result<Applied, ApplyError> {
        apply(&self.broker, &self.desired(), destructive).await
    }

    pub(crate) async fn publish(&self, subject: &str, payload: usize) {
        let ack = self.jetstream.publish(subject.to_owned(), vec![b'x'; payload].into()).await;
        ack.unwrap().await.unwrap();
    }

    pub(crate) async fn messages(&self, stream: &str) -> u64 {
        self.jetstream.get_stream(stream).await.unwrap().get_info().await.unwrap().state.messages
    }

    pub(crate) async fn config(&self, stream: &str) -> stream::Config {
        self.jetstream.get_stream(stream).await.unwrap().get_info().await.unwrap().config
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
