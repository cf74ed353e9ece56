//! Tokens of the HTTP API and sign-ins at Postgres: handed out once, kept by nobody.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::{Place, TENANT, records, stderr, stdout, text};

#[tokio::test]
async fn a_token_is_shown_once_and_revoked_for_good() {
    let mut place = Place::empty();
    let postgres = place.start_postgres();
    assert!(place.wegweiser(&["migrate"]).status.success());
    let create = |words: &[&str]| {
        let verb = ["api-token", "create", "--name", "noc", "--role", "viewer"];
        place.wegweiser(&[&verb, words].concat())
    };
    let whose = create(&[]);
    assert_eq!(whose.status.code(), Some(64), "{}", stderr(&whose));
    let unknown = create(&["--tenant", TENANT]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("is not registered"), "{}", stderr(&unknown));
    let records = records(&postgres);
    records.ensure_tenant(TENANT.parse().unwrap(), "Acme").await.unwrap();

    let shown = create(&["--tenant", TENANT, "--expires", "1h"]);
    assert!(shown.status.success(), "{}", stderr(&shown));
    let token = stdout(&shown).trim().to_owned();
    assert!(token.starts_with("wegweiser_api_"), "{token}");
    let file = place.path("token");
    let kept = create(&["--all-tenants", "--token-out", text(&file)]);
    assert_eq!((kept.status.code(), stdout(&kept)), (Some(0), String::new()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = create(&["--all-tenants", "--token-out", text(&file)]);
    assert!(stderr(&again).contains("give a new file"), "{}", stderr(&again));

    let list = || -> Vec<Value> {
        let output = place.wegweiser(&["api-token", "list", "--output", "json"]);
        assert!(!stdout(&output).contains(&token[20..]), "a list shows a token");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let rows = list();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0]["tenant"], TENANT);
    let id = rows[0]["id"].as_str().unwrap();
    for was_before in [false, true] {
        let revoked = place.wegweiser(&["api-token", "revoke", id]);
        let said: Value = serde_json::from_slice(&revoked.stdout).unwrap();
        assert_eq!(said["was_revoked_before"], was_before);
    }
    assert!(list()[0]["revoked_at"].is_i64());
    let trail = records
        .audit_rows(storage::AuditFilter { action: "api-token", limit: 10, ..Default::default() })
        .await
        .unwrap();
    let actions: Vec<&str> = trail.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["api-token revoke", "api-token create", "api-token create"]);
}

#[tokio::test]
async fn a_sign_in_has_its_role_alone_and_no_superuser_is_given_one() {
    let mut place = Place::empty();
    let _postgres = place.start_postgres();
    assert!(place.wegweiser(&["migrate"]).status.success());
    let sign_in = |name: &str, role: &str, file: &str| {
        let file = place.path(file);
        let out = ["--role", role, "--password-out", text(&file)];
        place.wegweiser(&[&["database-sign-in", "--name", name], &out[..]].concat())
    };
    let made = sign_in("weg_web", "receiver", "first");
    assert!(made.status.success(), "{}", stderr(&made));
    let changed = sign_in("weg_web", "web", "second");
    assert!(changed.status.success(), "{}", stderr(&changed));
    let superuser = sign_in("wegweiser", "web", "third");
    assert!(stderr(&superuser).contains("give another name"), "{}", stderr(&superuser));
    assert!(!place.path("third").exists());
    let odd = sign_in("x'; drop table devices; --", "web", "fourth");
    assert!(stderr(&odd).contains("[a-z0-9_]"), "{}", stderr(&odd));

    let url = place.get("DATABASE_URL").split_once('@').unwrap().1.to_owned();
    place.set("DATABASE_URL", format!("postgres://weg_web@{url}"));
    place.set("WEGWEISER_DATABASE_PASSWORD_FILE", place.path("first").display());
    assert_eq!(place.wegweiser(&["devices"]).status.code(), Some(1), "the first password is over");
    place.set("WEGWEISER_DATABASE_PASSWORD_FILE", place.path("second").display());
    let devices = place.wegweiser(&["devices"]);
    assert!(devices.status.success(), "{}", stderr(&devices));
    let tokens = place.wegweiser(&["api-token", "list"]);
    assert!(stderr(&tokens).contains("permission denied"), "{}", stderr(&tokens));
}
