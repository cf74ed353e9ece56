//! Tenants and devices on a running installation: let in, shut out, let in again, and removed with
//! proof. The operator's identity key is off the machine throughout.

mod many;
mod removal;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use identity::{Credentials, UnixSeconds};
use serde_json::{Value, json};

use crate::support::{DEVICE, OTHER_TENANT, TENANT, text};
use world::{CUT_WITHIN, World, until};

const OTHER: &str = "44444444-4444-4444-8444-444444444444";

#[tokio::test]
async fn a_tenant_is_added_suspended_and_resumed_with_the_same_credentials() {
    let world = World::open().await;
    let added = world.done(&["tenant", "add", "--tenant", TENANT, "--name", "Acme", "--conn", "7"]);
    assert_eq!(added.trim(), TENANT);
    world.done(&["tenant", "add", "--tenant", TENANT, "--name", "Acme", "--conn", "7"]);
    let refused = world.refused(&["tenant", "add", "--tenant", TENANT, "--name", "Other"]);
    assert!(refused.contains("accounts apply"), "{refused}");
    let refused = world.refused(&["tenant", "add", "--name", " "]);
    assert!(refused.contains("name"), "{refused}");
    assert_eq!(world.json(&["tenant", "list"]).as_array().unwrap().len(), 1);
    assert!(world.done(&["accounts", "plan"]).contains("nothing to do"));

    let creds = world.add_device(TENANT, DEVICE);
    let agent = world.connect(&creds).await.unwrap();
    world.done(&["tenant", "suspend", TENANT, "--because", "has not paid"]);
    let begun = Instant::now();
    until("the connection ends", || !agent.is_connected()).await;
    assert!(begun.elapsed() < CUT_WITHIN, "{:?}", begun.elapsed());
    let why = world.connect(&creds).await.unwrap_err().to_string();
    assert!(why.contains("wegweiser tenant resume"), "{why}");
    let shown = world.json(&["tenant", "show", TENANT]);
    assert_eq!(shown["broker"]["suspended"], json!(true));
    assert_eq!(shown["registry"]["state"], json!("suspended"));
    let fresh = world.place.path("fresh.creds");
    let refused =
        world.refused(&["device", "add", "--tenant", TENANT, "--creds-out", text(&fresh)]);
    assert!(refused.contains("wegweiser tenant resume") && !fresh.exists(), "{refused}");
    let shown = world.json(&["device", "show", DEVICE]);
    assert!(shown["refused"].as_str().unwrap().contains("suspended"), "{shown}");
    assert!(world.done(&["accounts", "apply"]).contains("nothing to do"), "apply resumes nobody");
    world.connect(&creds).await.unwrap_err();

    world.done(&["tenant", "resume", TENANT]);
    world.connect(&creds).await.unwrap();
    assert_eq!(world.json(&["tenant", "show", TENANT])["broker"]["limits"]["conn"], json!(7));

    let trail = world.json(&["audit", "--tenant", TENANT, "--action", "tenant"]);
    let facts: Vec<(&str, &str)> = rows(&trail)
        .map(|row| (row["action"].as_str().unwrap(), row["detail"]["outcome"].as_str().unwrap()))
        .collect();
    let newest = [
        ("tenant resume", "done"),
        ("tenant resume", "begun"),
        ("tenant suspend", "done"),
        ("tenant suspend", "begun"),
        ("tenant add", "done"),
    ];
    assert_eq!(facts[..5], newest, "{trail}");
    assert!(rows(&trail).any(|row| row["detail"]["because"] == json!("has not paid")));
    assert_eq!(rows(&world.json(&["audit", "--tenant", OTHER_TENANT])).count(), 0);
    assert_eq!(rows(&world.json(&["audit", "--since", "2020-01-01T00:00:00Z"])).count(), 12);
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_also_after_a_restart_until_it_is_rotated() {
    let mut world = World::open().await;
    world.done(&["tenant", "add", "--tenant", TENANT, "--name", "Acme"]);
    let (creds, bystander) = (world.add_device(TENANT, DEVICE), world.add_device(TENANT, OTHER));
    let agent = world.connect(&creds).await.unwrap();
    let other = world.connect(&bystander).await.unwrap();
    let second = world.place.path("second.creds");
    let add = ["device", "add", "--tenant", TENANT, "--device", DEVICE, "--creds-out"];
    let refused = world.refused(&[&add[..], &[text(&second)]].concat());
    assert!(refused.contains("wegweiser device rotate") && !second.exists(), "{refused}");

    world.done(&["device", "revoke", DEVICE, "--because", "stolen"]);
    let begun = Instant::now();
    until("the connection ends", || !agent.is_connected()).await;
    assert!(begun.elapsed() < CUT_WITHIN, "{:?}", begun.elapsed());
    assert!(other.is_connected(), "the others stay");
    let shown = world.json(&["device", "show", DEVICE]);
    assert!(shown["refused"].as_str().unwrap().contains("device rotate"), "{shown}");
    world.nats.restart().unwrap();
    let begun = Instant::now();
    let why = loop {
        match world.connect(&creds).await {
            Err(why) => break why.to_string(),
            // Let in while the server read the account, and cut when it had.
            Ok(agent) => until("the connection ends", || !agent.is_connected()).await,
        }
    };
    assert!(begun.elapsed() < CUT_WITHIN, "{:?}", begun.elapsed());
    assert!(why.contains("wegweiser device show"), "{why}");
    world.connect(&bystander).await.unwrap();

    let rotated = world.place.path("rotated.creds");
    world.done(&["device", "rotate", DEVICE, "--expires", "30d", "--creds-out", text(&rotated)]);
    assert!(Credentials::load(&rotated).unwrap().user().expires.is_some());
    world.connect(&rotated).await.unwrap();
    world.connect(&creds).await.unwrap_err();
    let again = world.place.path("again.creds");
    world.done(&["device", "rotate", DEVICE, "--creds-out", text(&again)]);
    world.connect(&rotated).await.unwrap_err();
    world.connect(&again).await.unwrap();

    let shown = world.json(&["device", "show", DEVICE]);
    let revoked: Vec<bool> =
        rows(&shown["credentials"]).map(|one| !one["revoked_at"].is_null()).collect();
    assert_eq!(revoked, [false, true, true], "{shown}");
    let active = world.json(&["device", "list", "--tenant", TENANT, "--state", "active"]);
    assert_eq!(rows(&active).count(), 2);
    let trail = world.json(&["audit", "--device", DEVICE, "--action", "device revoke"]);
    assert_eq!(rows(&trail).count(), 2);
    assert!(rows(&trail).all(|row| row["detail"]["because"] == json!("stolen")), "{trail}");
    assert!(rows(&trail).all(|row| !row["who"].as_str().unwrap().is_empty()));
}

#[tokio::test]
async fn an_added_device_has_an_end_and_the_keys_that_it_believes() {
    let world = World::open().await;
    world.done(&["tenant", "add", "--tenant", TENANT, "--name", "Acme"]);
    let creds = world.add_device(TENANT, DEVICE);
    let end = |path: &Path| Credentials::load(path).unwrap().user().expires;
    let left = end(&creds).unwrap().as_i64() - UnixSeconds::now().as_i64();
    assert!((left - 30 * 86_400).abs() < 600, "{left} s");
    let believed = std::fs::read_to_string(creds.with_file_name("command-keys")).unwrap();
    assert_eq!(believed, world.done(&["command-key", "show"]));

    for (name, more) in [
        ("for-ever", ["--expires", "none"]),
        ("renews-nothing", ["--role", "device-first-generation"]),
    ] {
        let path = world.place.path(name);
        let add = ["device", "add", "--tenant", TENANT, "--creds-out", text(&path)];
        world.done(&[&add[..], &more].concat());
        assert_eq!(end(&path), None, "{name}");
    }
    let path = world.place.path("a-day");
    world.done(&["device", "rotate", DEVICE, "--expires", "1d", "--creds-out", text(&path)]);
    let left = end(&path).unwrap().as_i64() - UnixSeconds::now().as_i64();
    assert!((left - 86_400).abs() < 600, "{left} s");
}

#[tokio::test]
async fn what_needs_the_operators_identity_key_says_so_and_the_rest_goes_on() {
    let world = World::open().await;
    std::fs::remove_file(world.place.path("keys/operator/operator.jwt")).unwrap();
    let refused = world.refused(&["accounts", "bootstrap"]);
    assert!(refused.contains("identity key"), "{refused}");
    assert!(refused.contains("bring it back for this step"), "{refused}");
    let away = world.place.path("signing.nk");
    std::fs::rename(world.place.path("keys/operator/signing.nk"), &away).unwrap();
    let refused = world.refused(&["tenant", "add", "--name", "Acme"]);
    assert!(
        refused.contains("the operator's signing key is not in the key directory"),
        "{refused}"
    );
    std::fs::rename(&away, world.place.path("keys/operator/signing.nk")).unwrap();
    world.done(&["tenant", "add", "--tenant", TENANT, "--name", "Acme"]);
    let creds = world.add_device(TENANT, DEVICE);
    world.connect(&creds).await.unwrap();
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Longest wait for anything that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
