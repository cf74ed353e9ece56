//! From an empty key directory to a running server, and what a restart keeps.

use broker::BrokerTls;
use std::fs;

use broker::accounts::{AccountServer, bootstrap, server_config};
use broker::streams::Destructive;
use identity::{DeviceRole, KeyDir};
use serde_json::json;

use crate::stage::{DEVICE, OTHER_TENANT, Stage, options, tenant};

#[tokio::test]
async fn a_server_starts_from_what_bootstrap_wrote_and_agrees_with_the_files() {
    let stage = Stage::fresh().await;
    let plan = stage.plan().await;
    assert!(plan.is_empty(), "{plan}");
}

#[tokio::test]
async fn bootstrap_may_be_repeated_and_changes_nothing() {
    let stage = Stage::fresh().await;
    let options = options(&stage.path(""), &stage.tls);
    let before = server_config(&stage.keys, &options).unwrap();
    bootstrap(&stage.keys, &stage.declared()).unwrap();
    assert_eq!(server_config(&stage.keys, &options).unwrap(), before);
    assert!(!before.contains("\nSO") && !before.contains(" SA"), "no seed in the configuration");
}

#[tokio::test]
async fn tenants_and_devices_are_added_without_the_operators_identity_key_or_a_restart() {
    let stage = Stage::fresh().await;
    fs::remove_file(stage.path("keys/operator/identity.nk")).unwrap();
    stage.declare("acme", json!({ "tenant": tenant(), "name": "Acme" }));
    let applied = stage.apply(Destructive::Refuse).await.unwrap();
    assert_eq!((applied.pushed, applied.deleted), (1, 0));
    stage.connect(&stage.device(tenant(), DEVICE, DeviceRole::Current)).await;
    bootstrap(&stage.keys, &stage.declared()).unwrap();
    assert!(!stage.keys.has_operator_identity());
}

#[tokio::test]
async fn a_restart_with_the_same_configuration_keeps_what_was_pushed() {
    let mut stage = Stage::with_tenants().await;
    stage.edit("backend.json", |file| file["limits"]["conn"] = json!(5_000));
    stage.apply(Destructive::Allow).await.unwrap();
    stage.nats.restart().unwrap();
    let tls = BrokerTls::trusting(&stage.tls.ca);
    stage.server = AccountServer::open(stage.nats.url(), &tls, &stage.keys).await.unwrap();
    let plan = stage.plan().await;
    assert!(plan.is_empty(), "the preloaded JWT must not replace the pushed one: {plan}");
}

#[tokio::test]
async fn another_operators_key_directory_is_not_let_in() {
    let stage = Stage::fresh().await;
    let foreign = KeyDir::open_or_create(&stage.path("foreign")).unwrap();
    bootstrap(&foreign, &stage.declared()).unwrap();
    let error =
        AccountServer::open(stage.nats.url(), &BrokerTls::trusting(&stage.tls.ca), &foreign).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("is the one of this key directory"), "{error}");
    assert!(!error.contains(OTHER_TENANT));
}
