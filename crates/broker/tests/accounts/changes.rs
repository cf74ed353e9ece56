//! What a plan shows, what an apply refuses, and what it does.

use async_nats::Event;
use broker::accounts::AccountsError;
use broker::plan::{Change, Effect, Plan};
use broker::streams::Destructive;
use identity::{AccountName, DeviceRole, KeyDir};
use serde_json::{Value, json};

use crate::stage::{DEVICE, OTHER_TENANT, Stage, TENANT, other_tenant, tenant};

fn fields(plan: &Plan) -> Vec<(&str, &str)> {
    plan.changes.iter().map(|change| (change.object.as_str(), change.field.as_str())).collect()
}

fn only(plan: &Plan) -> &Change {
    assert_eq!(plan.changes.len(), 1, "{plan}");
    &plan.changes[0]
}

async fn refused(stage: &Stage) -> Plan {
    match stage.apply(Destructive::Refuse).await {
        Err(AccountsError::Destructive(plan)) => *plan,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn new_tenants_are_shown_then_made_and_then_in_sync() {
    let stage = Stage::fresh().await;
    stage.declare("acme", json!({ "tenant": TENANT, "name": "Acme", "limits": { "conn": 3 } }));
    let plan = stage.plan().await;
    let change = only(&plan);
    assert_eq!(change.object, format!("account {TENANT} (Acme)"));
    assert_eq!(change.effect, Effect::Create);
    assert_eq!(change.after.as_ref().unwrap()["limits"]["conn"], 3);
    assert!(!stage.keys.has_account(AccountName::Tenant(tenant())), "a plan makes no key");

    assert_eq!(stage.apply(Destructive::Refuse).await.unwrap().pushed, 1);
    let plan = stage.plan().await;
    assert!(plan.is_empty(), "{plan}");
    let again = stage.apply(Destructive::Refuse).await.unwrap();
    assert_eq!((again.pushed, again.deleted), (0, 0));
}

#[tokio::test]
async fn one_changed_limit_is_one_field_of_one_account_and_holds_at_once() {
    let stage = Stage::with_tenants().await;
    stage.declare("acme", json!({ "tenant": TENANT, "name": "Acme", "limits": { "conn": 1 } }));
    let plan = refused(&stage).await;
    let change = only(&plan);
    assert_eq!(change.field, "limits.conn");
    assert_eq!((&change.before, &change.after), (&Some(json!(1_000)), &Some(json!(1))));
    let Effect::Destructive { loses } = &change.effect else { panic!("{change:?}") };
    assert_eq!(loses, "connections beyond 1");

    stage.apply(Destructive::Allow).await.unwrap();
    let device = stage.device(tenant(), DEVICE, DeviceRole::Current);
    let _first = stage.connect(&device).await;
    assert!(stage.try_connect(&device).await.is_err(), "the server enforces the limit");
    let others = stage.device(other_tenant(), DEVICE, DeviceRole::Current);
    let _second = stage.connect(&others).await;
    let _third = stage.connect(&others).await;
}

#[tokio::test]
async fn rights_taken_away_are_refused_and_rights_given_are_not() {
    let stage = Stage::with_tenants().await;
    let allow = |file: &mut Value| file["roles"]["device"]["template"]["pub"]["allow"].take();
    stage.edit("tenant.template.json", |file| {
        let mut subjects = allow(file);
        subjects.as_array_mut().unwrap().push(json!("tenant.{tenant}.device.{{name()}}.more"));
        file["roles"]["device"]["template"]["pub"]["allow"] = subjects;
    });
    let mut agent = stage.connect(&stage.device(tenant(), DEVICE, DeviceRole::Current)).await;
    let more = format!("tenant.{TENANT}.device.{DEVICE}.more");
    assert!(agent.refuses_publish(&more).await);
    let applied = stage.apply(Destructive::Refuse).await.unwrap();
    let comes_back = "role device changes: its connected users are disconnected once and come back";
    assert_eq!(applied.plan.notes, [comes_back]);
    for wanted in [Event::Disconnected, Event::Connected] {
        while agent.event().await != wanted {}
    }
    assert!(!agent.refuses_publish(&more).await, "the new right reached it");
    let field = "signing_keys.device.template.pub.allow";
    let (acme, zeta) =
        (format!("account {TENANT} (Acme)"), format!("account {OTHER_TENANT} (Zeta)"));
    assert_eq!(fields(&applied.plan), [(acme.as_str(), field), (zeta.as_str(), field)]);
    assert!(applied.plan.destructive().is_empty());

    stage.edit("tenant.template.json", |file| {
        file["roles"].as_object_mut().unwrap().remove("tenant-reader");
        file["imports"].as_array_mut().unwrap().retain(|import| import["name"] != "monitoring");
    });
    let plan = refused(&stage).await;
    assert_eq!(plan.destructive().len(), 4, "{plan}");
    let acme = stage.keys.account(AccountName::Tenant(tenant())).unwrap();
    let held = stage.server.lookup(acme.public()).await.unwrap().unwrap();
    assert_eq!(held.body.imports.len(), 10, "nothing was pushed");
    stage.apply(Destructive::Allow).await.unwrap();
    assert!(stage.plan().await.is_empty());
}

#[tokio::test]
async fn a_new_role_reaches_accounts_that_exist_with_a_key_of_its_own() {
    let stage = Stage::with_tenants().await;
    stage.edit("tenant.template.json", |file| {
        let reader = file["roles"]["tenant-reader"].clone();
        file["roles"]["auditor"] = reader;
    });
    let plan = stage.plan().await;
    assert!(plan.changes.iter().all(|change| change.field == "signing_keys.auditor"), "{plan}");
    assert!(plan.changes.iter().all(|change| change.effect == Effect::Create), "{plan}");
    stage.apply(Destructive::Refuse).await.unwrap();
    let account = AccountName::Tenant(tenant());
    let auditor = identity::issue_user(&stage.keys, account, "auditor", "eve", None).unwrap();
    stage.connect(&auditor).await;
    assert!(stage.plan().await.is_empty());
}

#[tokio::test]
async fn a_tenant_whose_file_is_gone_is_removed_only_when_told() {
    let stage = Stage::with_tenants().await;
    let device = stage.device(other_tenant(), DEVICE, DeviceRole::Current);
    let mut agent = stage.connect(&device).await;
    std::fs::remove_file(stage.path("accounts/tenants/zeta.json")).unwrap();
    let plan = refused(&stage).await;
    assert_eq!(only(&plan).object, format!("account {OTHER_TENANT} (Zeta)"));
    assert!(stage.try_connect(&device).await.is_ok());

    let applied = stage.apply(Destructive::Allow).await.unwrap();
    assert_eq!((applied.pushed, applied.deleted), (0, 1));
    loop {
        if matches!(agent.event().await, Event::Disconnected) {
            break;
        }
    }
    assert!(stage.try_connect(&device).await.is_err());
    assert!(stage.plan().await.is_empty());
}

#[tokio::test]
async fn a_change_made_by_hand_at_the_server_is_seen_and_put_right() {
    let stage = Stage::with_tenants().await;
    let before = stage.path("accounts");
    stage.edit("tenant.template.json", |file| file["limits"]["payload"] = json!(4_194_304));
    stage.apply(Destructive::Refuse).await.unwrap();
    stage.edit("tenant.template.json", |file| file["limits"]["payload"] = json!(1_048_576));
    let plan = stage.plan().await;
    assert!(plan.changes.iter().all(|change| change.field == "limits.payload"), "{plan}");
    assert_eq!(plan.changes.len(), 2, "{}", before.display());
    stage.apply(Destructive::Allow).await.unwrap();
    assert!(stage.plan().await.is_empty());
}

#[tokio::test]
async fn an_account_without_a_key_here_is_reported_and_left_alone() {
    let stage = Stage::with_tenants().await;
    let account = stage.path("keys/accounts").join(OTHER_TENANT);
    std::fs::rename(account, stage.path("moved-away")).unwrap();
    std::fs::remove_file(stage.path("accounts/tenants/zeta.json")).unwrap();
    let plan = stage.plan().await;
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(plan.notes.len(), 1, "{plan}");
    assert!(plan.notes[0].contains("has no key here: left alone"), "{plan}");
}

#[tokio::test]
async fn a_key_directory_open_to_others_stops_everything() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::with_tenants().await;
    let key = stage.path("keys/operator/signing.nk");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = stage.apply(Destructive::Refuse).await.unwrap_err();
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        text.push_str(&error.to_string());
        cause = error.source();
    }
    assert!(text.contains("mode 0644") && text.contains("chmod 0600"), "{text}");
    assert!(KeyDir::open(stage.keys.path()).is_ok());
}
