//! From an empty directory to a broker that a device may connect to.

use std::os::unix::fs::PermissionsExt as _;

use identity::Credentials;

use crate::support::{DEVICE, OTHER_TENANT, Place, TENANT, stderr, stdout, text};

#[test]
fn an_installation_is_made_from_nothing_and_repeats_without_a_change() {
    let mut place = Place::empty();
    place.declare_tenant(TENANT);
    let _nats = place.start_nats();

    let planned = place.wegweiser(&["accounts", "plan"]);
    assert_eq!(planned.status.code(), Some(2), "{}", stderr(&planned));
    assert!(stdout(&planned).contains(&format!("+ account {TENANT}")), "{}", stdout(&planned));
    let applied = place.wegweiser(&["accounts", "apply"]);
    assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
    let planned = place.wegweiser(&["accounts", "plan", "--output", "json"]);
    assert_eq!(planned.status.code(), Some(0), "{}", stdout(&planned));
    let plan: serde_json::Value = serde_json::from_slice(&planned.stdout).unwrap();
    assert_eq!(plan["changes"], serde_json::json!([]));

    let applied = place.wegweiser(&["streams", "apply"]);
    assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
    let planned = place.wegweiser(&["streams", "plan"]);
    assert_eq!(planned.status.code(), Some(0), "{}", stdout(&planned));

    for role in ["receiver", "web", "operator"] {
        let path = place.path("creds").join(format!("{role}.creds"));
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{role}");
        assert_eq!(Credentials::load(&path).unwrap().inbox_prefix(), format!("_INBOX_{role}"));
    }
    let before = std::fs::read(place.path("creds/web.creds")).unwrap();
    let config = place.path("again.conf");
    let creds = place.path("creds");
    let again = ["accounts", "bootstrap", "--creds-dir", text(&creds), "--server-config"];
    let again = place.wegweiser(&[&again[..], &[text(&config)]].concat());
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert_eq!(std::fs::read(place.path("creds/web.creds")).unwrap(), before);
}

#[test]
fn removing_a_tenant_is_refused_until_it_is_allowed() {
    let mut place = Place::empty();
    place.declare_tenant(TENANT);
    let _nats = place.start_nats();
    assert!(place.wegweiser(&["accounts", "apply"]).status.success());

    std::fs::remove_file(place.path("tenants").join(format!("{TENANT}.json"))).unwrap();
    let refused = place.wegweiser(&["accounts", "apply"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stdout(&refused).contains("! loses every connection"), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("--allow-destructive"), "{}", stderr(&refused));
    let allowed = place.wegweiser(&["accounts", "apply", "--allow-destructive"]);
    assert_eq!(allowed.status.code(), Some(0), "{}", stderr(&allowed));
    assert!(place.wegweiser(&["accounts", "plan"]).status.success());
}

#[test]
fn a_device_is_admitted_once_and_for_one_tenant() {
    let mut place = Place::empty();
    place.declare_tenant(TENANT);
    place.declare_tenant(OTHER_TENANT);
    let (_nats, _postgres) = (place.start_nats(), place.start_postgres());
    assert!(place.wegweiser(&["accounts", "apply"]).status.success());
    assert!(place.wegweiser(&["migrate"]).status.success());
    let creds = place.path("d.creds");
    let add = |tenant: &str, device: &str, role: &str, out: &str| {
        place.wegweiser(&[
            "device",
            "add",
            "--tenant",
            tenant,
            "--device",
            device,
            "--role",
            role,
            "--creds-out",
            out,
        ])
    };

    let made = add(TENANT, DEVICE, "device", text(&creds));
    assert_eq!(stdout(&made).trim(), DEVICE, "{}", stderr(&made));
    assert_eq!(Credentials::load(&creds).unwrap().user().name, DEVICE);

    let over = add(TENANT, DEVICE, "device", text(&creds));
    assert_eq!(over.status.code(), Some(1), "an existing credentials file was written over");
    let again = place.path("again.creds");
    let reissued = add(TENANT, DEVICE, "device", text(&again));
    assert_eq!(reissued.status.code(), Some(1), "a second credential that nobody can revoke");
    assert!(stderr(&reissued).contains("wegweiser device rotate"), "{}", stderr(&reissued));

    let stolen = place.path("stolen.creds");
    let refused = add(OTHER_TENANT, DEVICE, "device", text(&stolen));
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains(&format!("registered with tenant {TENANT}")));
    assert!(!stolen.exists());

    let fresh = place.path("fresh.creds");
    let made = place.wegweiser(&["device", "add", "--tenant", TENANT, "--creds-out", text(&fresh)]);
    assert_eq!(Credentials::load(&fresh).unwrap().user().name, stdout(&made).trim());
}

#[test]
fn without_keys_the_remedy_is_named() {
    let place = Place::empty();
    for arguments in [
        &["accounts", "plan"][..],
        &["device", "add", "--tenant", TENANT, "--creds-out", "x.creds"][..],
    ] {
        let output = place.wegweiser(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("wegweiser accounts bootstrap"), "{}", stderr(&output));
    }
}
