//! Until when the connection may be made, for whoever must act before.

use std::time::Duration;

use broker::{BrokerSettings, BrokerTls, expiry};
use identity::{DeviceRole, UnixSeconds, issue_device};

use crate::stage::{DEVICE, Stage, device, tenant};

#[tokio::test]
async fn the_ends_of_the_servers_certificate_and_of_the_credential_are_known() {
    let stage = Stage::with_tenants().await;
    let ends = UnixSeconds::now().plus(Duration::from_secs(3_600));
    let creds = stage.path("device.creds");
    issue_device(&stage.keys, tenant(), device(DEVICE), DeviceRole::Current, Some(ends))
        .unwrap()
        .save(&creds)
        .unwrap();
    let mut settings = BrokerSettings {
        url: stage.nats.url().to_owned(),
        creds: Some(creds),
        tls: BrokerTls::trusting(&stage.tls.ca),
        name: "expiry".to_owned(),
    };
    assert_eq!(expiry::credential(&settings).unwrap().get(), ends.as_i64() * 1_000);
    let certificate = expiry::certificate(&settings).await.unwrap().unwrap();
    assert!(certificate > protocol::UnixMillis::now(), "{certificate:?}");

    settings.tls.ca = None;
    let error = expiry::certificate(&settings).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "a stranger's certificate is not believed: {error}");
}
