//! Who is not let in at all.

use std::time::Duration;

use identity::{
    AccountName, Credentials, DeviceRole, KeyDir, KeyKind, Permission, SecretKey, UnixSeconds,
    Unsigned, User, UserLimits, issue_device, issue_user,
};
use secrecy::SecretString;

use crate::stage::{DEVICE, Stage, device, other_tenant, tenant};

/// A user signed by `signer` in the name of the tenant's account, however wrong that is.
fn forged(stage: &Stage, signer: &SecretKey, limits: UserLimits) -> Credentials {
    let account = stage.keys.account(AccountName::Tenant(tenant())).unwrap().public().clone();
    let key = SecretKey::generate(KeyKind::User).unwrap();
    let jwt = Unsigned {
        subject: key.public().clone(),
        name: DEVICE.to_owned(),
        issued_at: UnixSeconds::now(),
        expires: None,
        body: User::with_limits(account, limits),
    }
    .sign(signer)
    .unwrap();
    Credentials::new(SecretString::from(jwt), key).unwrap()
}

async fn assert_not_let_in(stage: &Stage, who: &str, credentials: &Credentials) {
    let error = stage.try_connect(credentials).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), async_nats::ConnectErrorKind::AuthorizationViolation, "{who}");
}

#[tokio::test]
async fn only_the_tenants_own_scoped_key_lets_a_device_in() {
    let stage = Stage::with_tenants().await;
    let account = AccountName::Tenant(tenant());
    let own = stage.keys.role(account, "device").unwrap();
    stage.connect(&forged(&stage, &own, UserLimits::scoped())).await;

    let others = stage.keys.role(AccountName::Tenant(other_tenant()), "device").unwrap();
    assert_not_let_in(
        &stage,
        "another tenant's key",
        &forged(&stage, &others, UserLimits::scoped()),
    )
    .await;
    let random = SecretKey::generate(KeyKind::Account).unwrap();
    assert_not_let_in(&stage, "a random key", &forged(&stage, &random, UserLimits::scoped())).await;
}

#[tokio::test]
async fn a_user_that_widens_its_rights_is_not_let_in() {
    let stage = Stage::with_tenants().await;
    let own = stage.keys.role(AccountName::Tenant(tenant()), "device").unwrap();
    let all = Permission { allow: vec![">".to_owned()], deny: Vec::new() };
    let widened = UserLimits { publish: all.clone(), subscribe: all, ..UserLimits::scoped() };
    for (what, limits) in [
        ("own rights", widened),
        ("unlimited", UserLimits::unlimited()),
        ("bearer token", UserLimits { bearer_token: true, ..UserLimits::scoped() }),
    ] {
        assert_not_let_in(&stage, what, &forged(&stage, &own, limits)).await;
    }
}

#[tokio::test]
async fn an_expired_user_is_not_let_in_and_a_connected_one_is_cut_off_when_it_expires() {
    let stage = Stage::with_tenants().await;
    let issue = |expires| {
        let expires = Some(expires);
        issue_device(&stage.keys, tenant(), device(DEVICE), DeviceRole::Current, expires).unwrap()
    };
    assert_not_let_in(&stage, "expired", &issue(UnixSeconds::new(1_700_000_000))).await;

    let soon = issue(UnixSeconds::now().plus(Duration::from_secs(2)));
    let mut agent = stage.connect(&soon).await;
    loop {
        if matches!(agent.event().await, async_nats::Event::Disconnected) {
            break;
        }
    }
}

#[tokio::test]
async fn another_operator_lets_nobody_in_even_with_the_same_names() {
    let stage = Stage::with_tenants().await;
    let foreign = KeyDir::open_or_create(&stage.path("foreign")).unwrap();
    broker::accounts::bootstrap(&foreign, &stage.declared()).unwrap();
    let account = AccountName::Tenant(tenant());
    foreign.ensure_account(account).unwrap();
    foreign.ensure_role(account, "device").unwrap();
    let credentials =
        issue_device(&foreign, tenant(), device(DEVICE), DeviceRole::Current, None).unwrap();
    assert_not_let_in(&stage, "a device of another operator", &credentials).await;
    let backend = issue_user(&foreign, AccountName::Backend, "operator", "operator", None).unwrap();
    assert_not_let_in(&stage, "another operator's backend", &backend).await;
}

#[tokio::test]
async fn nobody_gets_in_without_credentials() {
    let stage = Stage::with_tenants().await;
    let error = async_nats::ConnectOptions::new()
        .add_root_certificates(stage.tls.ca.clone())
        .connect(stage.nats.url())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), async_nats::ConnectErrorKind::AuthorizationViolation);
}
