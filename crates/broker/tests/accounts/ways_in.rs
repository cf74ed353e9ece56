//! The ways in: TLS with an authority of one's own, port 443, WebSocket.

use std::os::unix::fs::PermissionsExt as _;

use broker::accounts::{AccountServer, server_config};
use broker::{Broker, BrokerSettings, BrokerTls, ClientCertificate};
use devstack::Nats;
use devstack::tls::TlsFiles;
use identity::DeviceRole;

use crate::stage::{DEVICE, Stage, options, tenant};

/// The port of web traffic.
const HTTPS: u16 = 443;

impl Stage {
    /// The same accounts at a server whose configuration goes on with `more`.
    async fn configured(more: &str) -> Self {
        let mut stage = Self::with_tenants().await;
        stage.nats.stop().unwrap();
        let options = options(&stage.path(""), &stage.tls);
        let config = server_config(&stage.keys, &options).unwrap() + more;
        stage.nats = Nats::builder().config(config).preferred_port(HTTPS).start().unwrap();
        stage
    }

    /// A device of ours that believes our authority alone.
    fn settings(&self, url: String) -> BrokerSettings {
        let creds = self.path("device.creds");
        if !creds.exists() {
            self.device(tenant(), DEVICE, DeviceRole::Current).save(&creds).unwrap();
        }
        let (creds, tls) = (Some(creds), BrokerTls::trusting(&self.tls.ca));
        BrokerSettings { url, creds, tls, name: "device".to_owned() }
    }
}

async fn reason(settings: &BrokerSettings) -> String {
    match Broker::connect(settings).await {
        Ok(_) => panic!("{} let us in", settings.url),
        Err(error) => error.to_string(),
    }
}

/// Whether a question gets through to the server, which answers that nobody is there to answer.
async fn asks(broker: &Broker) -> bool {
    let asked = broker.ask_renewal(tenant(), DEVICE.parse().unwrap(), b"{}".to_vec()).await;
    let said = asked.unwrap_err().to_string();
    assert!(said.contains("no responders"), "{said}");
    broker.is_connected()
}

#[tokio::test]
async fn the_connection_string_of_the_first_generation_works_and_is_verified() {
    let stage = Stage::configured("").await;
    // Port 443 wherever this user may listen on it and nobody else does.
    let settings = stage.settings(format!("tls://localhost:{}", stage.nats.port()));
    assert!(asks(&Broker::connect(&settings).await.unwrap()).await);
    let nobody = BrokerSettings { tls: BrokerTls::default(), ..settings };
    let why = reason(&nobody).await;
    assert!(why.contains("did not accept") && !why.contains("authorization"), "{why}");
}

#[tokio::test]
async fn a_device_comes_in_by_websocket_where_only_web_traffic_passes() {
    let directory = tempfile::tempdir().unwrap();
    let tls = devstack::tls::files_in(&directory.path().join("tls")).unwrap();
    let more = format!(
        "websocket {{\n  host: \"127.0.0.1\"\n  port: -1\n  \
         tls {{ cert_file: {:?}, key_file: {:?} }}\n}}\n",
        tls.certificate, tls.key
    );
    let stage = Stage::configured(&more).await;
    let port = stage.nats.websocket_port().unwrap();
    let settings = BrokerSettings {
        tls: BrokerTls::trusting(&tls.ca),
        ..stage.settings(format!("wss://localhost:{port}"))
    };
    let broker = Broker::connect(&settings).await.unwrap();
    assert!(asks(&broker).await);
    broker.cut().await;
    let mut connections = broker.connections();
    connections.wait_for(|made| *made >= 2).await.unwrap();
    assert!(asks(&broker).await, "after a reconnection");
    reason(&BrokerSettings { tls: BrokerTls::trusting(&stage.tls.ca), ..settings }).await;
}

#[tokio::test]
async fn a_broker_that_wants_a_certificate_lets_in_who_shows_one_beside_the_credentials() {
    let mut stage = Stage::with_tenants().await;
    let ours = devstack::tls::client_files_in(&stage.path("ours")).unwrap();
    let others = devstack::tls::client_files_in(&stage.path("others")).unwrap();
    stage.nats.stop().unwrap();
    let mut options = options(&stage.path(""), &stage.tls);
    if let Some(tls) = &mut options.tls {
        tls.client_ca_file = Some(ours.ca.clone());
    }
    let config = server_config(&stage.keys, &options).unwrap();
    stage.nats = Nats::builder().config(config).start().unwrap();
    let with = |files: &TlsFiles| {
        let (certificate, key) = (files.certificate.clone(), files.key.clone());
        let client = Some(ClientCertificate { certificate, key });
        BrokerTls { client, ..BrokerTls::trusting(&stage.tls.ca) }
    };
    let bare = stage.settings(format!("tls://localhost:{}", stage.nats.port()));

    reason(&bare).await;
    reason(&BrokerSettings { tls: with(&others), ..bare.clone() }).await;
    let shown = BrokerSettings { tls: with(&ours), ..bare };
    assert!(asks(&Broker::connect(&shown).await.unwrap()).await);
    // The accounts' side and the watch over the certificate's end go the same way.
    AccountServer::open(&shown.url, &shown.tls, &stage.keys).await.unwrap();
    assert!(broker::expiry::certificate(&shown).await.unwrap().is_some());

    std::fs::set_permissions(&ours.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let why = reason(&shown).await;
    assert!(why.contains("mode 0644") && why.contains("chmod 0600"), "{why}");
}
