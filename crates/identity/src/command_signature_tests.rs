//! Nothing but what a believed key signed is believed.

use proptest::prelude::*;
use protocol::command::CommandTerms;
use protocol::{CommandId, Order, UnixMillis};
use serde_json::{Value, json};

use super::*;
use crate::KeyKind;

fn key() -> SecretKey {
    SecretKey::generate(KeyKind::Signer).unwrap()
}

fn command(kind: &str, arguments: &Value) -> Command {
    let order = Order::parse(kind, arguments).unwrap();
    let terms = CommandTerms {
        tenant: "11111111-1111-4111-8111-111111111111".parse().unwrap(),
        device: "22222222-2222-4222-8222-222222222222".parse().unwrap(),
        created: UnixMillis::new(1_790_000_000_000),
        expires: UnixMillis::new(1_790_000_060_000),
        timeout_ms: None,
        requester: "alice".into(),
    };
    Command::new(CommandId::create(), &order, terms).unwrap()
}

fn signer(keys: &[&SecretKey]) -> CommandSigner {
    CommandSigner::with_keys(keys.iter().map(|key| (*key).clone()).collect()).unwrap()
}

fn believing(keys: &[&SecretKey]) -> Vec<PublicKey> {
    keys.iter().map(|key| key.public().clone()).collect()
}

#[test]
fn what_a_believed_key_signed_is_believed_and_the_same() {
    let (new, old, other) = (key(), key(), key());
    let command = command("run", &json!({ "program": "/bin/true", "arguments": ["ä\"\n"] }));
    let signed = signer(&[&new, &old]).sign(&command).unwrap();
    assert_eq!(signed.key, new.public().as_str(), "the newest signs");
    for believed in [believing(&[&new]), believing(&[&old, &new])] {
        assert_eq!(verify_command(&signed, &believed).unwrap(), command);
    }
    for believed in [believing(&[&old, &other]), Vec::new()] {
        let error = verify_command(&signed, &believed).unwrap_err();
        assert!(matches!(error, CommandRefused::UnknownKey(_)), "{error}");
    }
    assert!(matches!(CommandSigner::with_keys(Vec::new()), Err(CommandSigningError::NoKey)));
}

#[test]
fn a_device_that_knows_the_old_key_alone_believes_what_brings_the_new() {
    let (new, old) = (key(), key());
    let signer = signer(&[&new, &old]);
    let trust = signer.trust();
    assert_eq!(trust.keys, [new.public().as_str(), old.public().as_str()]);
    let command = command("agent.trust-keys", &json!({ "keys": trust.keys }));
    let signed = signer.sign(&command).unwrap();
    assert_eq!(verify_command(&signed, &believing(&[&old])).unwrap(), command);
}

#[test]
fn a_signature_of_the_bare_text_or_of_another_key_is_none() {
    let (signing, other) = (key(), key());
    let good = signer(&[&signing]).sign(&command("ping", &json!({}))).unwrap();
    let believed = believing(&[&signing, &other]);
    let bare = signing.sign(good.signed.as_bytes()).unwrap();
    let others = other.sign(&signed_bytes(&good.signed)).unwrap();
    for signature in [bare, others, Vec::new(), vec![0; 64], vec![0; 65]] {
        let signature = BASE64URL_NOPAD.encode(&signature);
        let error = verify_command(&SignedCommand { signature, ..good.clone() }, &believed);
        assert!(matches!(error, Err(CommandRefused::WrongSignature(_))), "{error:?}");
    }
    // The same bytes, written with padding or in the other alphabet.
    for signature in [format!("{}==", good.signature), format!(" {}", good.signature)] {
        let error = verify_command(&SignedCommand { signature, ..good.clone() }, &believed);
        assert!(matches!(error, Err(CommandRefused::WrongSignature(_))), "{error:?}");
    }
    let claimed = SignedCommand { key: other.public().to_string(), ..good };
    let error = verify_command(&claimed, &believed);
    assert!(matches!(error, Err(CommandRefused::WrongSignature(_))), "{error:?}");
}

#[test]
fn what_a_believed_key_signed_that_is_no_command_is_malformed() {
    let signing = key();
    let good = signer(&[&signing]).sign(&command("ping", &json!({}))).unwrap();
    for text in ["", "{}", "null", &good.signed.replace("\"version\":1", "\"version\":9")] {
        let signature = BASE64URL_NOPAD.encode(&signing.sign(&signed_bytes(text)).unwrap());
        let signed = SignedCommand { signed: text.to_owned(), signature, ..good.clone() };
        let error = verify_command(&signed, &believing(&[&signing]));
        assert!(matches!(error, Err(CommandRefused::Malformed(_))), "{error:?}");
    }
}

proptest! {
    // Each case makes a signature.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_change_of_the_text_is_noticed(place in any::<prop::sample::Index>(), with in any::<char>()) {
        let signing = key();
        let good = signer(&[&signing]).sign(&command("ping", &json!({}))).unwrap();
        let mut text: Vec<char> = good.signed.chars().collect();
        let place = place.index(text.len());
        prop_assume!(text[place] != with);
        text[place] = with;
        let signed = SignedCommand { signed: text.into_iter().collect(), ..good };
        let error = verify_command(&signed, &believing(&[&signing]));
        prop_assert!(matches!(error, Err(CommandRefused::WrongSignature(_))));
    }
}
