//! What a command may say, and that nothing outside it is taken.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limits::{
    COMMAND_ARGUMENT_MAX_BYTES, COMMAND_PAYLOAD_MAX_BYTES, COMMAND_PROCESSES_MAX,
    COMMAND_REASON_MAX_CHARS, COMMAND_SQL_MAX_BYTES,
};

const T: &str = "11111111-1111-4111-8111-111111111111";
const D: &str = "22222222-2222-4222-8222-222222222222";
const C: &str = "0192f3a1-0000-7000-8000-00000000000a";
const KEY: &str = "VAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn terms() -> CommandTerms {
    CommandTerms {
        tenant: T.parse().unwrap(),
        device: D.parse().unwrap(),
        created: UnixMillis::new(1_790_000_000_000),
        expires: UnixMillis::new(1_790_000_060_000),
        timeout_ms: None,
        requester: "alice@example".into(),
    }
}

fn ping() -> Command {
    let order = Order::parse("ping", &json!({})).unwrap();
    Command::new(C.parse().unwrap(), &order, terms()).unwrap()
}

/// A good example of each kind.
fn examples() -> [(&'static str, Value); 11] {
    [
        ("ping", json!({})),
        ("system.info", json!({})),
        ("process.list", json!({ "limit": 1000 })),
        ("osquery", json!({ "sql": "SELECT deleted_at, update_time FROM apps" })),
        ("run", json!({ "program": "/bin/true", "arguments": ["; rm -rf /", "$(id)", "a\nb"] })),
        ("agent.set-interval", json!({ "collector": "cpu", "seconds": 5 })),
        ("agent.collect-now", json!({})),
        ("agent.cancel", json!({ "command_id": C })),
        ("agent.trust-keys", json!({ "keys": [KEY] })),
        ("metrics.start", json!({ "metrics": ["cpu_percent"], "interval_ms": 1_000, "ttl_s": 60 })),
        ("metrics.stop", json!({})),
    ]
}

#[test]
fn every_kind_takes_its_example_and_reads_back_what_it_wrote() {
    for ((name, arguments), kind) in examples().iter().zip(CommandKind::ALL) {
        assert_eq!(*name, kind.name());
        let order = Order::parse(name, arguments).unwrap();
        assert_eq!(&order.arguments(), arguments, "{name}");
        let command = Command::new(C.parse().unwrap(), &order, terms()).unwrap();
        assert_eq!(command.timeout_ms, kind.default_timeout_ms());
        let text = command.to_text().unwrap();
        let read = Command::from_signed_text(&text).unwrap();
        assert_eq!((&read, read.order().unwrap()), (&command, order), "{text}");
    }
}

#[test]
fn every_kind_shows_a_schema_that_refuses_what_it_does_not_name() {
    for kind in CommandKind::ALL {
        let schema = kind.schema();
        assert_eq!(schema["additionalProperties"], false, "{kind}: {schema:#}");
        assert_eq!(schema["type"], "object", "{kind}: {schema:#}");
    }
    let limit = &CommandKind::ProcessList.schema()["properties"]["limit"];
    assert_eq!((&limit["minimum"], &limit["maximum"]), (&json!(1), &json!(COMMAND_PROCESSES_MAX)));
    let sql = &CommandKind::Osquery.schema()["properties"]["sql"];
    assert_eq!(sql["maxLength"], COMMAND_SQL_MAX_BYTES);
    assert!(CommandKind::Cancel.schema()["properties"]["command_id"]["pattern"].is_string());
}

#[test]
fn an_argument_outside_the_schema_is_named_with_its_remedy() {
    let long = "x".repeat(COMMAND_ARGUMENT_MAX_BYTES + 1);
    let huge = "x".repeat(10 * 1024 * 1024);
    let many: Vec<&str> = vec!["x"; 65];
    for (kind, arguments, words) in [
        ("ping", json!({ "x": 1 }), "unknown field `x`"),
        ("process.list", json!({ "limit": 0 }), "limit: is 0; give 1 to 1000"),
        ("process.list", json!({ "limit": "5" }), "limit: invalid type: string \"5\""),
        ("process.list", json!([]), "give an object"),
        ("osquery", json!({}), "missing field `sql`"),
        ("osquery", json!({ "sql": "" }), "sql: has 0 bytes"),
        ("osquery", json!({ "sql": " .shell id" }), "sql: begins with a dot"),
        ("osquery", json!({ "sql": "--logger_path=/" }), "sql: begins with a dot or a dash"),
        ("run", json!({ "program": "/bin/sh", "shell": true }), "unknown field `shell`"),
        ("run", json!({ "program": "/bin/sh", "arguments": "-c id" }), "arguments: invalid type"),
        ("run", json!({ "program": "/bin/sh", "arguments": [&long] }), "arguments[0]: has 16385"),
        (
            "run",
            json!({ "program": "/bin/sh", "arguments": [&huge] }),
            "arguments[0]: has 10485760",
        ),
        ("run", json!({ "program": "/bin/sh", "arguments": many }), "arguments: has 65 entries"),
        ("run", json!({ "program": "/bin/sh", "arguments": ["a\0b"] }), "arguments[0]: contains"),
        ("run", json!({ "program": "a\0" }), "program: contains the character U+0000"),
        ("agent.set-interval", json!({ "collector": "cpu", "seconds": -1 }), "seconds: invalid"),
        ("agent.set-interval", json!({ "collector": "cpu", "seconds": 0 }), "seconds: is 0"),
        ("agent.cancel", json!({ "command_id": "x" }), "command_id: "),
        ("agent.trust-keys", json!({ "keys": [] }), "keys: has 0 entries"),
        ("agent.trust-keys", json!({ "keys": ["UABC"] }), "keys[0]: \"UABC\" is no command"),
        (
            "metrics.start",
            json!({ "metrics": ["CPU"], "interval_ms": 250, "ttl_s": 1 }),
            "metrics[0]",
        ),
        ("metrics.start", json!({ "interval_ms": 10, "ttl_s": 1 }), "interval_ms: is 10"),
        ("metrics.start", json!({ "interval_ms": 250, "ttl_s": 1e9 }), "ttl_s"),
    ] {
        let error = Order::parse(kind, &arguments).unwrap_err();
        assert!(matches!(error, OrderError::Arguments { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(words), "{kind}: {text} does not say {words}");
        assert!(text.len() < 400, "{}", text.len());
    }
    let error = Order::parse("rm", &json!({})).unwrap_err();
    assert_eq!(error, OrderError::UnknownKind("rm".to_owned()));
}

#[test]
fn a_term_outside_the_limits_is_named_with_its_remedy() {
    type Change = fn(&mut CommandTerms);
    let order = Order::parse("ping", &Value::Null).unwrap();
    let made = |change: Change| {
        let mut terms = terms();
        change(&mut terms);
        Command::new(C.parse().unwrap(), &order, terms).map_err(|error| error.to_string())
    };
    let cases: [(Change, &str); 7] = [
        (|terms| terms.expires = terms.created, "field expires_ms is 1790000000000; give up to"),
        (|terms| terms.expires = UnixMillis::new(i64::MAX), "field expires_ms is"),
        (|terms| terms.created = UnixMillis::new(i64::MIN), "field expires_ms is"),
        (|terms| terms.timeout_ms = Some(99), "field timeout_ms is 99; give 100 to 3600000"),
        (|terms| terms.timeout_ms = Some(u64::MAX), "field timeout_ms is"),
        (|terms| terms.requester = "".into(), "field requester is \"\"; give 1 to 128"),
        (|terms| terms.requester = "a\u{1b}[31m".into(), "field requester is"),
    ];
    for (change, words) in cases {
        let error = made(change).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_signed_text_of_another_form_is_refused() {
    let good: Value = serde_json::from_str(&ping().to_text().unwrap()).unwrap();
    let mut fields: Vec<&str> = good.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "arguments",
            "command_id",
            "created_ms",
            "device_uuid",
            "expires_ms",
            "kind",
            "requester",
            "tenant_uuid",
            "timeout_ms",
            "version",
        ]
    );
    for (field, value, words) in [
        ("version", json!(2), "field version is 2; this program knows 1"),
        ("arguments", json!([]), "field arguments is []; give an object"),
        ("timeout_ms", json!(-1), "invalid value"),
        ("device_uuid", json!("x"), "UUID"),
        ("also", json!(1), "unknown field `also`"),
    ] {
        let mut changed = good.clone();
        changed[field] = value;
        let error = Command::from_signed_text(&changed.to_string()).unwrap_err().to_string();
        assert!(error.contains(words), "{field}: {error}");
    }
    for field in fields {
        let mut shortened = good.clone();
        shortened.as_object_mut().unwrap().remove(field);
        let error = Command::from_signed_text(&shortened.to_string()).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
    let twice = good.to_string().replacen('{', r#"{"kind":"run","#, 1);
    let error = Command::from_signed_text(&twice).unwrap_err().to_string();
    assert!(error.contains("duplicate field"), "{error}");
}

#[test]
fn an_envelope_is_bounded_before_it_is_read() {
    let signed = SignedCommand {
        command_id: C.parse().unwrap(),
        signed: ping().to_text().unwrap(),
        signature: "AA".to_owned(),
        key: KEY.to_owned(),
    };
    let payload = signed.to_payload().unwrap();
    assert_eq!(SignedCommand::read(&payload).unwrap(), signed);
    assert_eq!(SignedCommand::id_in(&payload), Some(signed.command_id));

    let large = SignedCommand { signed: "x".repeat(COMMAND_PAYLOAD_MAX_BYTES), ..signed };
    assert!(large.to_payload().unwrap_err().to_string().contains("give shorter arguments"));
    let payload = serde_json::to_vec(&large).unwrap();
    let error = SignedCommand::read(&payload).unwrap_err().to_string();
    assert!(error.contains("bytes of 262144"), "{error}");
    assert_eq!(SignedCommand::id_in(&payload), None);

    let deep = "[".repeat(100_000);
    for odd in ["", "{}", "[]", "null", "{\"command_id\":1}", &deep] {
        assert!(SignedCommand::read(odd.as_bytes()).is_err(), "{odd:.20}");
        assert_eq!(SignedCommand::id_in(odd.as_bytes()), None);
    }
    let named = format!("{{\"command_id\":\"{C}\",\"command\":\"ping\"}}");
    assert!(SignedCommand::read(named.as_bytes()).is_err());
    assert_eq!(SignedCommand::id_in(named.as_bytes()), Some(C.parse().unwrap()));
}

#[test]
fn a_reason_has_one_word_everywhere_and_a_bounded_text() {
    for code in ReasonCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
    let reason = CommandReason::new(ReasonCode::Busy, &"ä".repeat(10_000));
    assert_eq!(reason.text.chars().count(), COMMAND_REASON_MAX_CHARS);
}

#[test]
fn a_finished_event_says_how_it_went_in_both_generations_words() {
    let of = (T.parse().unwrap(), D.parse().unwrap(), C.parse().unwrap());
    let at = UnixMillis::new(1_790_000_000_001);
    let event = CommandEvent::running(of, EventWord::Finished, 3, at);
    let reason = CommandReason::new(ReasonCode::TimedOut, "over");
    let ended = event.clone().ended(CommandOutcome::TimedOut, Some(reason), None);
    assert_eq!(
        serde_json::to_value(&ended).unwrap(),
        json!({
            "command_id": C, "tenant_uuid": T, "device_uuid": D, "timestamp_ms": at.get(),
            "event": "finished", "number": 3, "status": "error", "outcome": "timed_out",
            "reason": { "code": "timed_out", "text": "over" },
        })
    );
    let ended = event.ended(CommandOutcome::Succeeded, None, Some(json!({ "rows": [] })));
    assert_eq!(ended.status, "success");
}

proptest! {
    #[test]
    fn no_payload_breaks_the_reader(payload in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = SignedCommand::read(&payload);
        let _ = SignedCommand::id_in(&payload);
    }

    #[test]
    fn no_text_breaks_the_reader(text in ".{0,512}") {
        let _ = Command::from_signed_text(&text);
        let _ = Order::parse(&text, &json!({ &text: &text }));
    }

    #[test]
    fn what_an_order_takes_it_gives_back(program in "[ -~]{1,64}", arguments in proptest::collection::vec("\\PC{0,32}", 0..8)) {
        let given = json!({ "program": program, "arguments": arguments });
        let order = Order::parse("run", &given).unwrap();
        let command = Command::new(C.parse().unwrap(), &order, terms()).unwrap();
        let read = Command::from_signed_text(&command.to_text().unwrap()).unwrap();
        prop_assert_eq!(read.arguments, given);
    }
}

#[test]
fn the_manual_has_each_kind_with_its_fields_its_time_and_an_example_that_is_taken() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    for kind in CommandKind::ALL {
        let start = format!("| `{kind}` | ");
        let row = manual.lines().find(|line| line.starts_with(&start)).expect(&start);
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, arguments, example, seconds, _] = cells[..] else { panic!("{row}") };
        let example = serde_json::from_str(example.trim_matches('`')).expect(row);
        Order::parse(kind.name(), &example).expect(row);
        assert_eq!(seconds.parse::<u64>().unwrap() * 1_000, kind.default_timeout_ms(), "{row}");
        let schema = kind.schema();
        let fields = schema["properties"].as_object().into_iter().flatten();
        for (field, _) in fields {
            assert!(arguments.contains(&format!("`{field}`")), "{field}: {row}");
        }
    }
}
