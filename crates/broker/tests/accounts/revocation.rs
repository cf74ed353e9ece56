//! Revoked users are out at once and stay out.

use broker::BrokerTls;
use std::slice::from_ref;

use async_nats::Event;
use broker::accounts::{AccountServer, revoke};
use broker::streams::Destructive;
use identity::{AccountName, DeviceRole, UnixSeconds};
use serde_json::json;

use crate::stage::{DEVICE, SIBLING, Stage, tenant};

#[tokio::test]
async fn a_revocation_cuts_the_live_connection_and_outlives_restart_and_apply() {
    let mut stage = Stage::with_tenants().await;
    let account = AccountName::Tenant(tenant());
    let lost = stage.device(tenant(), DEVICE, DeviceRole::Current);
    let kept = stage.device(tenant(), SIBLING, DeviceRole::Current);
    let mut agent = stage.connect(&lost).await;
    let mut bystander = stage.connect(&kept).await;

    revoke(&stage.server, &stage.keys, account, from_ref(lost.key().public()), UnixSeconds::now())
        .await
        .unwrap();
    loop {
        if matches!(agent.event().await, Event::Disconnected) {
            break;
        }
    }
    let own = format!("demo.system.{SIBLING}.uptime");
    assert!(!bystander.refuses_publish(&own).await, "the others stay connected");
    assert!(stage.try_connect(&lost).await.is_err());

    let plan = stage.plan().await;
    assert!(plan.is_empty(), "a revocation is no difference: {plan}");
    stage.edit("tenant.template.json", |file| file["limits"]["conn"] = json!(2_000));
    stage.apply(Destructive::Refuse).await.unwrap();
    assert!(stage.try_connect(&lost).await.is_err(), "after another push");

    stage.nats.restart().unwrap();
    let tls = BrokerTls::trusting(&stage.tls.ca);
    stage.server = AccountServer::open(stage.nats.url(), &tls, &stage.keys).await.unwrap();
    stage.shuts_out(&lost).await;
    stage.connect(&stage.device(tenant(), DEVICE, DeviceRole::Current)).await;
}

#[tokio::test]
async fn revocations_at_the_same_moment_all_count() {
    let stage = Stage::with_tenants().await;
    let account = AccountName::Tenant(tenant());
    let devices: Vec<_> =
        (0..8).map(|_| stage.device(tenant(), DEVICE, DeviceRole::Current)).collect();
    let revocations = devices.iter().map(|lost| {
        revoke(
            &stage.server,
            &stage.keys,
            account,
            from_ref(lost.key().public()),
            UnixSeconds::now(),
        )
    });
    futures::future::try_join_all(revocations).await.unwrap();
    for lost in &devices {
        assert!(stage.try_connect(lost).await.is_err());
    }
}
