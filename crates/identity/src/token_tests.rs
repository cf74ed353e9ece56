//! A JWT made by the ecosystem's own library must read here, and ours must not depend on luck.

use super::*;
use crate::{Account, AccountLimits, KeyKind, User};

fn unsigned(subject: &SecretKey) -> Unsigned<Account> {
    let mut body = Account::new(AccountLimits { conn: 10, subs: -1, ..AccountLimits::default() });
    body.sort();
    Unsigned {
        subject: subject.public().clone(),
        name: "acme <&>".to_owned(),
        issued_at: UnixSeconds::new(1_700_000_000),
        expires: Some(UnixSeconds::new(1_800_000_000)),
        body,
    }
}

#[test]
fn the_same_claims_give_the_same_text_and_read_back() {
    let operator = SecretKey::generate(KeyKind::Operator).unwrap();
    let account = SecretKey::generate(KeyKind::Account).unwrap();
    let claims = unsigned(&account);
    let token = claims.sign(&operator).unwrap();
    assert_eq!(token, claims.sign(&operator).unwrap());

    let read = Verified::<Account>::read(&token).unwrap();
    assert_eq!(read.body, claims.body);
    assert_eq!(&read.issuer, operator.public());
    assert_eq!((read.name.as_str(), read.issued_at), ("acme <&>", claims.issued_at));
    assert_eq!(read.id.len(), 52);
    assert!(!read.is_expired(UnixSeconds::new(1_799_999_999)));
    assert!(read.is_expired(UnixSeconds::new(1_800_000_000)));
}

#[test]
fn a_changed_claim_is_refused() {
    let operator = SecretKey::generate(KeyKind::Operator).unwrap();
    let account = SecretKey::generate(KeyKind::Account).unwrap();
    let token = unsigned(&account).sign(&operator).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let claims = String::from_utf8(BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap()).unwrap();
    let widened = claims.replace("\"conn\":10", "\"conn\":99");
    assert_ne!(widened, claims);
    let forged =
        format!("{}.{}.{}", parts[0], BASE64URL_NOPAD.encode(widened.as_bytes()), parts[2]);
    let error = Verified::<Account>::read(&forged).unwrap_err();
    assert!(matches!(error, TokenError::Signature(_)), "{error}");
}

#[test]
fn a_key_of_the_wrong_kind_neither_signs_nor_is_believed() {
    let user = SecretKey::generate(KeyKind::User).unwrap();
    let account = SecretKey::generate(KeyKind::Account).unwrap();
    assert!(unsigned(&account).sign(&user).is_err());

    let issued = Unsigned {
        subject: user.public().clone(),
        name: "d".to_owned(),
        issued_at: UnixSeconds::now(),
        expires: None,
        body: User::scoped(account.public().clone()),
    };
    let token = issued.sign(&account).unwrap();
    assert!(Verified::<User>::read(&token).is_ok());
    assert!(Verified::<Account>::read(&token).is_err());
}

#[test]
fn a_claim_that_is_unknown_here_is_named_rather_than_dropped() {
    let error = serde_json::from_str::<Account>(
        r#"{"type":"account","version":2,"limits":{"subs":1,"novelty":3}}"#,
    )
    .unwrap_err();
    assert!(error.to_string().contains("unknown field `novelty`"), "{error}");
}
