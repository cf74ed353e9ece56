//! Keys on disk: made once, read back, and refused where others could read them.

use std::os::unix::fs::PermissionsExt;

use protocol::TenantId;

use super::*;
use crate::{DeviceRole, issue_device, issue_user};

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const DEVICE: &str = "22222222-2222-4222-8222-222222222222";

fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

fn key_dir() -> (tempfile::TempDir, KeyDir) {
    let parent = tempfile::tempdir().unwrap();
    let keys = KeyDir::open_or_create(&parent.path().join("keys")).unwrap();
    keys.ensure_operator().unwrap();
    let account = AccountName::Tenant(tenant());
    keys.ensure_account(account).unwrap();
    keys.ensure_role(account, "device").unwrap();
    (parent, keys)
}

#[test]
fn keys_are_made_once_and_read_back() {
    let (_parent, keys) = key_dir();
    let account = AccountName::Tenant(tenant());
    let first = keys.account(account).unwrap().public().clone();
    keys.ensure_operator().unwrap();
    assert_eq!(keys.ensure_account(account).unwrap().public(), &first);
    assert_eq!(keys.accounts().unwrap(), vec![account]);
}

#[test]
fn a_directory_that_others_can_enter_is_refused_with_the_remedy() {
    let (_parent, keys) = key_dir();
    fs::set_permissions(keys.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let shown = keys.path().display();
    let wanted = format!("{shown} has mode 0750, which lets others in; run: chmod 0700 {shown}");
    assert_eq!(KeyDir::open(keys.path()).unwrap_err().to_string(), wanted);
    assert_eq!(keys.operator_signing().unwrap_err().to_string(), wanted);
}

#[test]
fn day_to_day_work_does_without_the_identity_key() {
    let (_parent, keys) = key_dir();
    keys.keep_operator_jwt("made.with.identity").unwrap();
    fs::remove_file(keys.path().join("operator/identity.nk")).unwrap();

    keys.ensure_operator().unwrap();
    assert!(!keys.has_operator_identity(), "a removed identity key must not be replaced");
    let error = keys.operator_identity().unwrap_err().to_string();
    assert!(error.contains("the operator's identity key is not in the key directory"), "{error}");
    assert!(keys.operator_signing().is_ok());
    issue_device(&keys, tenant(), DEVICE.parse().unwrap(), DeviceRole::Current, None).unwrap();
}

#[test]
fn an_operator_jwt_is_kept_as_first_written() {
    let (_parent, keys) = key_dir();
    keys.keep_operator_jwt("first").unwrap();
    keys.keep_operator_jwt("second").unwrap();
    assert_eq!(keys.operator_jwt().unwrap(), "first");
}

#[test]
fn names_that_would_widen_a_role_are_refused() {
    let (_parent, keys) = key_dir();
    let account = AccountName::Tenant(tenant());
    for name in ["*", ">", "a.b", "a b", "", "{{subject()}}", &"x".repeat(65)] {
        let error = issue_user(&keys, account, "device", name, None).unwrap_err();
        assert!(error.to_string().contains("is not usable"), "{name}: {error}");
    }
    for role in ["../device", "", "a/b"] {
        assert!(matches!(keys.role(account, role), Err(KeyDirError::RoleName(_))), "{role}");
    }
}

#[test]
fn a_device_carries_its_id_and_no_rights_of_its_own() {
    let (_parent, keys) = key_dir();
    let made = issue_device(&keys, tenant(), DEVICE.parse().unwrap(), DeviceRole::Current, None);
    let made = made.unwrap();
    assert_eq!(made.user().name, DEVICE);
    assert_eq!(made.user().body.limits, crate::UserLimits::scoped());
    let account = AccountName::Tenant(tenant());
    let account_key = keys.account(account).unwrap().public().clone();
    assert_eq!(made.user().body.issuer_account, Some(account_key));
    assert_eq!(&made.user().issuer, keys.role(account, "device").unwrap().public());
}
