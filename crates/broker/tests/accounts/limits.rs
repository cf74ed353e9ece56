//! What one tenant may take of the server, which says no to that tenant alone.

use async_nats::Event;
use broker::streams::Destructive;
use identity::DeviceRole;
use serde_json::json;

use crate::stage::{DEVICE, OTHER_TENANT, SIBLING, STRANGER, Stage, TENANT, other_tenant, tenant};

#[tokio::test]
async fn connections_payload_and_subscriptions_of_a_tenant_end_at_its_limits() {
    let stage = Stage::with_streams().await;
    let limits = json!({ "conn": 2, "payload": 4_096, "subs": 3 });
    stage.declare("acme", json!({ "tenant": TENANT, "name": "Acme", "limits": limits }));
    stage.apply(Destructive::Allow).await.unwrap();
    let of_acme = |name| stage.device(tenant(), name, DeviceRole::Current);
    let other = stage.device(other_tenant(), STRANGER, DeviceRole::Current);
    let mut acme = stage.connect(&of_acme(DEVICE)).await;
    let mut zeta = stage.connect(&other).await;

    let _second = stage.connect(&of_acme(DEVICE)).await;
    let refused = stage.try_connect(&of_acme(SIBLING)).await.err().expect("a third connection");
    let why = format!("{refused:?}").to_lowercase();
    assert!(why.contains("maximum account active connections exceeded"), "{why}");
    let _third = stage.connect(&other).await;

    for (connection, device, over) in [(&mut acme, DEVICE, true), (&mut zeta, STRANGER, false)] {
        let mut subscriptions = Vec::new();
        for n in 0..5 {
            let subject = format!("_INBOX_{device}.of.{n}");
            subscriptions.push(connection.client.subscribe(subject).await.unwrap());
        }
        let refused = connection.refused("maximum subscriptions exceeded").await;
        assert_eq!(refused, over, "{device}");
    }

    let large = "x".repeat(5_000);
    let subject = format!("tenant.{OTHER_TENANT}.device.{STRANGER}.monitoring");
    assert_eq!(zeta.publish_acked(&subject, &large).await.0, "MONITORING");
    let subject = format!("tenant.{TENANT}.device.{DEVICE}.monitoring");
    acme.client.publish(subject, large.into()).await.unwrap();
    // The server says so and ends the connection.
    loop {
        let Event::ServerError(error) = acme.event().await else { continue };
        if error.to_string().to_lowercase().contains("maximum payload violation") {
            return;
        }
    }
}
