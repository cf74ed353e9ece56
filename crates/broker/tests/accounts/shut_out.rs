//! A suspended tenant is out as a whole and comes back with the same credentials; a removed one does
//! not; and whoever is refused is told what to do.

use std::time::{Duration, Instant};

use async_nats::Event;
use broker::accounts::{AccountServer, delete, held, resume, revoke, suspend};
use broker::streams::Destructive;
use broker::{BrokerTls, explained};
use identity::{AccountName, Credentials, DeviceRole, UnixSeconds, issue_device};
use serde_json::json;

use crate::stage::{
    CUT_WITHIN, Connection, DEVICE, OTHER_TENANT, SIBLING, STRANGER, Stage, TENANT, device,
    other_tenant, tenant,
};

/// Waits for the end of the connection; tells what the server said before.
async fn cut(agent: &mut Connection) -> String {
    let mut said = String::new();
    loop {
        match agent.event().await {
            Event::ServerError(error) => said = error.to_string(),
            Event::Disconnected => return said,
            _ => {}
        }
    }
}

async fn refused(stage: &Stage, credentials: &Credentials) -> String {
    stage.try_connect(credentials).await.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn a_suspended_tenant_is_out_within_two_seconds_and_returns_with_the_same_credentials() {
    let mut stage = Stage::with_tenants().await;
    let theirs = stage.device(tenant(), DEVICE, DeviceRole::Current);
    let revoked = stage.device(tenant(), SIBLING, DeviceRole::Current);
    let others = stage.device(other_tenant(), STRANGER, DeviceRole::Current);
    let mut agent = stage.connect(&theirs).await;
    let mut bystander = stage.connect(&others).await;
    let account = AccountName::Tenant(tenant());
    let users = [revoked.key().public().clone()];
    revoke(&stage.server, &stage.keys, account, &users, UnixSeconds::now()).await.unwrap();

    let begun = Instant::now();
    suspend(&stage.server, &stage.keys, tenant()).await.unwrap();
    let said = explained(&cut(&mut agent).await);
    assert!(begun.elapsed() < CUT_WITHIN, "{:?}", begun.elapsed());
    assert!(said.contains("wegweiser tenant resume"), "{said}");
    let said = explained(&refused(&stage, &theirs).await);
    assert!(said.contains("wegweiser tenant resume"), "{said}");
    let own = format!("demo.system.{STRANGER}.uptime");
    assert!(!bystander.refuses_publish(&own).await, "other tenants stay connected");

    let plan = stage.plan().await;
    assert!(plan.is_empty(), "a suspension is no difference: {plan}");
    assert!(plan.notes.iter().any(|note| note.contains("suspended")), "{plan}");
    stage.edit("tenant.template.json", |file| file["limits"]["conn"] = json!(2_000));
    stage.apply(Destructive::Allow).await.unwrap();
    refused(&stage, &theirs).await;
    stage.nats.restart().unwrap();
    let tls = BrokerTls::trusting(&stage.tls.ca);
    stage.server = AccountServer::open(stage.nats.url(), &tls, &stage.keys).await.unwrap();
    stage.shuts_out(&theirs).await;

    let declared = stage.declared();
    resume(&stage.server, &stage.keys, declared.tenant(tenant()).unwrap()).await.unwrap();
    stage.connect(&theirs).await;
    refused(&stage, &revoked).await;
    let plan = stage.plan().await;
    assert!(plan.is_empty(), "{plan}");
}

#[tokio::test]
async fn a_removed_tenants_credentials_are_worthless_also_after_it_is_added_anew() {
    let stage = Stage::with_tenants().await;
    let theirs = stage.device(tenant(), DEVICE, DeviceRole::Current);
    let mut agent = stage.connect(&theirs).await;
    assert!(held(&stage.server, &stage.keys, tenant()).await.unwrap().is_some());
    let begun = Instant::now();
    assert!(delete(&stage.server, &stage.keys, tenant()).await.unwrap());
    cut(&mut agent).await;
    assert!(begun.elapsed() < CUT_WITHIN, "{:?}", begun.elapsed());
    refused(&stage, &theirs).await;
    assert!(held(&stage.server, &stage.keys, tenant()).await.unwrap().is_none());
    assert!(!delete(&stage.server, &stage.keys, tenant()).await.unwrap(), "nothing was left");

    // Its file is still there, so this makes it anew.
    stage.apply(Destructive::Refuse).await.unwrap();
    refused(&stage, &theirs).await;
    stage.connect(&stage.device(tenant(), DEVICE, DeviceRole::Current)).await;
}

#[tokio::test]
async fn every_refusal_of_the_server_says_what_to_do() {
    let stage = Stage::with_tenants().await;
    stage.edit("tenant.template.json", |file| {
        file["roles"]["device"]["template"]["subs"] = json!(3);
    });
    stage.declare(
        "acme",
        json!({ "tenant": TENANT, "name": "Acme",
        "limits": { "conn": 2, "payload": 1024 } }),
    );
    stage.apply(Destructive::Allow).await.unwrap();
    let issue = |name: &str, expires| {
        let expires = Some(UnixSeconds::now().plus(expires));
        issue_device(&stage.keys, tenant(), device(name), DeviceRole::Current, expires).unwrap()
    };
    let hour = Duration::from_secs(3_600);
    let (first, second) = (issue(DEVICE, hour), issue(SIBLING, hour));
    let mut said = Vec::new();

    let mut agent = stage.connect(&first).await;
    let held = stage.connect(&second).await;
    said.push(("connections", refused(&stage, &issue(STRANGER, hour)).await));
    drop(held);

    agent.client.publish("tenant.x.device.y.command", "{}".into()).await.unwrap();
    said.push(("publish", next_error(&mut agent).await));
    let _subscription = agent.client.subscribe(">").await.unwrap();
    said.push(("subscribe", next_error(&mut agent).await));
    let mut inboxes = Vec::new();
    for number in 0..4 {
        let inbox = format!("_INBOX_{DEVICE}.{number}");
        inboxes.push(agent.client.subscribe(inbox).await.unwrap());
    }
    said.push(("subscriptions", next_error(&mut agent).await));

    let account = AccountName::Tenant(tenant());
    let users = [first.key().public().clone()];
    revoke(&stage.server, &stage.keys, account, &users, UnixSeconds::now()).await.unwrap();
    said.push(("revoked, live", cut(&mut agent).await));
    said.push(("revoked", refused(&stage, &first).await));

    let mut agent = stage.connect(&issue(DEVICE, Duration::from_secs(2))).await;
    said.push(("ended", cut(&mut agent).await));
    let stranger = stage.device(other_tenant(), STRANGER, DeviceRole::Current);
    delete(&stage.server, &stage.keys, other_tenant()).await.unwrap();
    said.push(("removed tenant", refused(&stage, &stranger).await));
    for (what, said) in &said {
        assert!(broker::remedy(said).is_some(), "{what}: {said:?} has no remedy");
    }
    assert!(!said.iter().any(|(_, said)| said.contains(OTHER_TENANT)));
}

async fn next_error(agent: &mut Connection) -> String {
    loop {
        if let Event::ServerError(error) = agent.event().await {
            return error.to_string();
        }
    }
}
