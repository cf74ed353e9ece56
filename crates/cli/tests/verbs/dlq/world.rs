//! What stories of dead letters share: servers with everything applied, parking, and the verb.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use broker::{Broker, BrokerSettings, BrokerTls};
use devstack::{Nats, Postgres};
use protocol::{DeadLetter, MessageId, MessageKey, Reject, UnixMillis};
use serde_json::Value;

use super::DEADLINE;
use crate::support::{DEVICE, OTHER_TENANT, Place, TENANT, records, repository, stderr, stdout};

/// A broker and a database with everything applied, and a connection of our own.
pub(super) struct World {
    pub(super) place: Place,
    pub(super) nats: Nats,
    pub(super) postgres: Postgres,
    pub(super) broker: Broker,
}

impl World {
    /// `forgetful`: streams whose duplicate window is the shortest.
    pub(super) async fn start(forgetful: bool) -> Self {
        let mut place = Place::empty();
        place.declare_tenant(TENANT);
        place.declare_tenant(OTHER_TENANT);
        let nats = place.start_nats();
        let postgres = place.start_postgres();
        if forgetful {
            place.set("WEGWEISER_STREAMS_DIR", forgetful_streams(&place).display());
        }
        for verb in [&["accounts", "apply"][..], &["streams", "apply"], &["migrate"]] {
            let said = place.wegweiser(verb);
            assert!(said.status.success(), "{verb:?}: {}", stderr(&said));
        }
        let settings = BrokerSettings {
            url: nats.url().to_owned(),
            creds: Some(place.path("creds/operator.creds")),
            tls: BrokerTls::trusting(&place.path("tls/ca.pem")),
            name: "story".to_owned(),
        };
        let broker = Broker::connect(&settings).await.unwrap();
        Self { place, nats, postgres, broker }
    }

    pub(super) fn receiver(&self) -> Receiver {
        let mut command = self.place.program("wegweiser-receiver");
        command.env("NATS_CREDS", self.place.path("creds/receiver.creds"));
        command.env("WEGWEISER_RECEIVER_LISTEN", "127.0.0.1:0");
        Receiver(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Parks a report of the tenant's device as a receiver does.
    pub(super) async fn park(&self, sequence: u64, id: Option<&str>, payload: &str) {
        self.park_of(TENANT, sequence, id, payload, false).await;
    }

    pub(super) async fn park_of(
        &self,
        tenant: &str,
        sequence: u64,
        id: Option<&str>,
        payload: &str,
        tombstone: bool,
    ) {
        let subject = if tombstone { "unknown".to_owned() } else { subject(tenant) };
        let original = self.broker.stored_message("MONITORING", sequence).await.unwrap();
        let long_ago = UnixMillis::new(1_790_230_470_084);
        let letter = DeadLetter {
            stream: "MONITORING",
            sequence,
            subject: &subject,
            message_id: id,
            reject: &Reject::DeliveriesExhausted("5 deliveries ended without a verdict".into()),
            attempts: 5,
            first_seen: original.map_or(long_ago, |original| original.published),
            tombstone,
        };
        let payload = payload.to_owned().into();
        let _ = self.broker.park(&letter, payload).await.unwrap();
    }

    pub(super) async fn publish(&self, tenant: &str, id: &str, payload: &str) -> u64 {
        let id: MessageId = id.parse().unwrap();
        let ticket = self.broker.publish(subject(tenant), &id, payload.to_owned().into()).await;
        ticket.unwrap().confirmed().await.unwrap();
        self.broker.stream_state("MONITORING").await.unwrap().last_sequence
    }

    /// Runs `wegweiser dlq …`; its exit code and what it said.
    pub(super) fn dlq(&self, arguments: &[&str]) -> (i32, String) {
        let said = self.place.wegweiser(&[&["dlq"], arguments].concat());
        (said.status.code().unwrap(), format!("{}{}", stdout(&said), stderr(&said)))
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let said = self.place.wegweiser(&[&["dlq"], arguments, &["--output", "json"]].concat());
        serde_json::from_slice(&said.stdout).map_err(|_| stderr(&said)).unwrap()
    }

    /// Sequences that `list` shows.
    pub(super) fn listed(&self, filters: &[&str]) -> Vec<u64> {
        let rows = self.json(&[&["list"], filters].concat());
        rows.iter().map(|row| row["sequence"].as_u64().unwrap()).collect()
    }

    pub(super) async fn messages(&self, stream: &str) -> u64 {
        self.broker.stream_state(stream).await.unwrap().messages
    }

    /// Waits until every report is stored or parked.
    pub(super) async fn drained(&self) {
        let start = Instant::now();
        while !self.broker.consumer_state("MONITORING", "records").await.unwrap().is_drained() {
            assert!(start.elapsed() < DEADLINE, "reports are left");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether the report that lies at `sequence` of its stream made the row of `key`.
    pub(super) async fn made_the_row(&self, sequence: u64, key: MessageKey) -> bool {
        let there = self.broker.stored_message("MONITORING", sequence).await.unwrap().unwrap();
        let (tenant, device) = (TENANT.parse().unwrap(), DEVICE.parse().unwrap());
        let records = records(&self.postgres);
        records.is_recorded(tenant, device, &key, there.published).await.unwrap()
    }
}

/// A receiver; killed when dropped.
pub(super) struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn subject(tenant: &str) -> String {
    format!("tenant.{tenant}.device.{DEVICE}.monitoring")
}

/// The stream files, but ids are forgotten after 100 ms, so that a story need not wait minutes.
fn forgetful_streams(place: &Place) -> std::path::PathBuf {
    let streams = place.path("streams");
    for folder in std::fs::read_dir(repository().join("nats/streams")).unwrap() {
        let folder = folder.unwrap();
        let copy = streams.join(folder.file_name());
        std::fs::create_dir_all(&copy).unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let content = std::fs::read_to_string(file.path()).unwrap();
            let content = content.replace("window\": 120000000000", "window\": 100000000");
            std::fs::write(copy.join(file.file_name()), content).unwrap();
        }
    }
    streams
}
