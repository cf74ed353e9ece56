//! A server of its own with an operator of its own, two tenants and the repository's declarations.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, Event, HeaderMap};
use broker::accounts::{
    AccountServer, AccountsError, Applied, Declared, ServerConfigOptions, ServerTls, SyncInterval,
    apply, bootstrap, plan, server_config,
};
use broker::plan::Plan;
use broker::streams::{self, Destructive};
use broker::{Broker, BrokerSettings, BrokerTls};
use devstack::Nats;
use devstack::tls::TlsFiles;
use identity::{AccountName, Credentials, DeviceRole, KeyDir, issue_device, issue_user};
use protocol::{DeviceId, TenantId};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How long a live connection may outlive what shuts it out.
pub(crate) const CUT_WITHIN: Duration = Duration::from_secs(2);
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nats");
/// Longest wait for anything that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const OTHER_TENANT: &str = "99999999-9999-4999-8999-999999999999";
pub(crate) const DEVICE: &str = "22222222-2222-4222-8222-222222222222";
pub(crate) const SIBLING: &str = "33333333-3333-4333-8333-333333333333";
pub(crate) const STRANGER: &str = "44444444-4444-4444-8444-444444444444";

pub(crate) fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

pub(crate) fn other_tenant() -> TenantId {
    OTHER_TENANT.parse().unwrap()
}

pub(crate) fn device(id: &str) -> DeviceId {
    id.parse().unwrap()
}

pub(crate) struct Stage {
    pub(crate) nats: Nats,
    pub(crate) keys: KeyDir,
    pub(crate) server: AccountServer,
    pub(crate) tls: TlsFiles,
    directory: tempfile::TempDir,
}

impl Stage {
    /// A server that knows `SYS` and `BACKEND` only.
    pub(crate) async fn fresh() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let accounts = directory.path().join("accounts");
        copy_files(&Path::new(REPOSITORY).join("accounts"), &accounts);
        fs::create_dir(accounts.join("tenants")).unwrap();
        let keys = KeyDir::open_or_create(&directory.path().join("keys")).unwrap();
        let declared = Declared::load(&accounts, &accounts.join("tenants")).unwrap();
        bootstrap(&keys, &declared).unwrap();
        let tls = devstack::tls::files_in(&directory.path().join("tls")).unwrap();
        let config = server_config(&keys, &options(directory.path(), &tls)).unwrap();
        let nats = Nats::builder().config(config).start().unwrap();
        let server =
            AccountServer::open(nats.url(), &BrokerTls::trusting(&tls.ca), &keys).await.unwrap();
        Self { nats, keys, server, tls, directory }
    }

    /// A server with two tenants applied.
    pub(crate) async fn with_tenants() -> Self {
        let stage = Self::fresh().await;
        stage.declare("acme", json!({ "tenant": TENANT, "name": "Acme" }));
        stage.declare("zeta", json!({ "tenant": OTHER_TENANT, "name": "Zeta" }));
        stage.apply(Destructive::Refuse).await.unwrap();
        stage
    }

    /// The same with the repository's streams and a command consumer for two devices.
    pub(crate) async fn with_streams() -> Self {
        let stage = Self::with_tenants().await;
        let desired = streams::load(&Path::new(REPOSITORY).join("streams"), None).unwrap();
        let broker = stage.backend("operator").await;
        streams::apply(&broker, &desired, Destructive::Refuse).await.unwrap();
        let client = stage.connect(&stage.backend_user("operator")).await.client;
        let jetstream = async_nats::jetstream::new(client);
        let commands = jetstream.get_stream("COMMANDS").await.unwrap();
        for name in [DEVICE, STRANGER] {
            let config = async_nats::jetstream::consumer::pull::Config {
                durable_name: Some(name.to_owned()),
                filter_subject: format!("tenant.*.device.{name}.command"),
                ..Default::default()
            };
            commands.create_consumer(config).await.unwrap();
        }
        stage
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn declare(&self, name: &str, tenant: Value) {
        let path = self.path("accounts/tenants").join(format!("{name}.json"));
        fs::write(path, tenant.to_string()).unwrap();
    }

    /// Changes one of the declaration files.
    pub(crate) fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.path("accounts").join(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(path, value.to_string()).unwrap();
    }

    pub(crate) fn declared(&self) -> Declared {
        Declared::load(&self.path("accounts"), &self.path("accounts/tenants")).unwrap()
    }

    pub(crate) async fn plan(&self) -> Plan {
        plan(&self.server, &self.declared(), &self.keys).await.unwrap()
    }

    pub(crate) async fn apply(&self, destructive: Destructive) -> Result<Applied, AccountsError> {
        apply(&self.server, &self.declared(), &self.keys, destructive).await
    }

    pub(crate) fn device(&self, tenant: TenantId, name: &str, role: DeviceRole) -> Credentials {
        issue_device(&self.keys, tenant, device(name), role, None).unwrap()
    }

    pub(crate) fn backend_user(&self, role: &str) -> Credentials {
        issue_user(&self.keys, AccountName::Backend, role, role, None).unwrap()
    }

    /// A connection as the product makes it.
    pub(crate) async fn backend(&self, role: &str) -> Broker {
        let creds = self.path(&format!("{role}.creds"));
        if !creds.exists() {
            self.backend_user(role).save(&creds).unwrap();
        }
        let settings = BrokerSettings {
            url: self.nats.url().to_owned(),
            creds: Some(creds),
            tls: BrokerTls::trusting(&self.tls.ca),
            name: format!("test {role}"),
        };
        Broker::connect(&settings).await.unwrap()
    }

    pub(crate) async fn connect(&self, credentials: &Credentials) -> Connection {
        self.try_connect(credentials).await.unwrap()
    }

    /// Nobody gets in with `credentials`, or is cut as soon as the server has read the account: one
    /// that has just started may let somebody in who connects while it does.
    pub(crate) async fn shuts_out(&self, credentials: &Credentials) {
        let begun = Instant::now();
        while let Ok(mut connection) = self.try_connect(credentials).await {
            while !matches!(connection.event().await, Event::Disconnected) {}
            assert!(begun.elapsed() < CUT_WITHIN, "{:?}", begun.elapsed());
        }
    }

    pub(crate) async fn try_connect(
        &self,
        credentials: &Credentials,
    ) -> Result<Connection, async_nats::ConnectError> {
        let (sender, events) = mpsc::unbounded_channel();
        let client = ConnectOptions::new()
            .custom_inbox_prefix(credentials.inbox_prefix())
            .add_root_certificates(self.tls.ca.clone())
            .request_timeout(Some(DEADLINE))
            .event_callback(move |event| {
                let _ = sender.send(event);
                std::future::ready(())
            })
            .credentials(credentials.decorated().expose_secret())
            .unwrap()
            .connect(self.nats.url())
            .await?;
        Ok(Connection { client, events })
    }
}

/// A client whose refusals are seen.
pub(crate) struct Connection {
    pub(crate) client: Client,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Connection {
    /// Publishes and tells whether the server refused it.
    pub(crate) async fn refuses_publish(&mut self, subject: &str) -> bool {
        self.client.publish(subject.to_owned(), "{}".into()).await.unwrap();
        self.refused(&format!("Publish to \"{subject}\"")).await
    }

    /// Subscribes and tells whether the server refused it.
    pub(crate) async fn refuses_subscribe(&mut self, subject: &str) -> bool {
        let _subscription = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.refused(&format!("Subscription to \"{subject}\"")).await
    }

    /// Errors arrive in order: what was not refused before the sentinel was accepted.
    pub(crate) async fn refused(&mut self, what: &str) -> bool {
        const SENTINEL: &str = "nobody.may.publish.this";
        self.client.publish(SENTINEL, "".into()).await.unwrap();
        let mut refused = false;
        loop {
            match self.event().await {
                Event::ServerError(error) if error.to_string().contains(SENTINEL) => {
                    return refused;
                }
                // The library lower-cases what the server wrote.
                Event::ServerError(error) => {
                    let text = error.to_string().to_lowercase();
                    refused |= text.contains(&what.to_lowercase());
                }
                _ => {}
            }
        }
    }

    pub(crate) async fn event(&mut self) -> Event {
        tokio::time::timeout(DEADLINE, self.events.recv()).await.unwrap().unwrap()
    }

    /// Publishes and waits for the stream's answer: its name and the message's sequence.
    pub(crate) async fn publish_acked(&self, subject: &str, payload: &str) -> (String, u64) {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{subject} {payload}").as_str());
        let request = self.client.request_with_headers(
            subject.to_owned(),
            headers,
            payload.to_owned().into(),
        );
        let answer: Value = serde_json::from_slice(&request.await.unwrap().payload).unwrap();
        let stream = answer["stream"].as_str().unwrap_or_else(|| panic!("{answer}"));
        (stream.to_owned(), answer["seq"].as_u64().unwrap())
    }
}

pub(crate) fn options(directory: &Path, tls: &TlsFiles) -> ServerConfigOptions {
    ServerConfigOptions {
        jetstream_dir: None,
        resolver_dir: directory.join("resolver"),
        sync_interval: SyncInterval::Every(Duration::from_secs(120)),
        max_payload_bytes: 2 * 1024 * 1024,
        max_file_store_bytes: Some(64 * 1024 * 1024 * 1024),
        tls: Some(ServerTls {
            cert_file: tls.certificate.clone(),
            key_file: tls.key.clone(),
            client_ca_file: None,
        }),
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}
