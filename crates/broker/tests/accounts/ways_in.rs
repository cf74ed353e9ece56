//! The ways in: TLS with an authority of one's own, port 443, WebSocket.

use broker::accounts::server_config;
use broker::{Broker, BrokerSettings};
use devstack::Nats;
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
        let (creds, ca) = (Some(creds), Some(self.tls.ca.clone()));
        BrokerSettings { url, creds, ca, name: "device".to_owned() }
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
    let nobody = BrokerSettings { ca: None, ..settings };
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
    let settings =
        BrokerSettings { ca: Some(tls.ca), ..stage.settings(format!("wss://localhost:{port}")) };
    let broker = Broker::connect(&settings).await.unwrap();
    assert!(asks(&broker).await);
    broker.cut().await;
    let mut connections = broker.connections();
    connections.wait_for(|made| *made >= 2).await.unwrap();
    assert!(asks(&broker).await, "after a reconnection");
    reason(&BrokerSettings { ca: Some(stage.tls.ca.clone()), ..settings }).await;
}
