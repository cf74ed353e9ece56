//! Dead letters as an operator deals with them: found, sent again once in effect, discarded.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

mod world;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use protocol::{MessageId, MessageKey, MonitoringReport, UnixMillis};
use serde_json::{Value, json};
use storage::{RealtimeBody, RealtimeWrite};

use self::world::World;
use crate::support::{DEVICE, OTHER_TENANT, TENANT, records, rings, stdout, text};

/// Bound on everything that a story waits for.
const DEADLINE: Duration = Duration::from_secs(60);
const REPORT: &str = r#"{"monitoring_type":"disk","free":1}"#;

#[tokio::test]
async fn a_point_that_a_receiver_parked_is_found_and_shown_once_its_cause_is_gone() {
    let mut world = World::start(true).await;
    let server = world.place.start_redis();
    let key = format!("wegweiser:metrics:{DEVICE}:cpu_percent");
    redis(server.port(), &["SELECT 3", &format!("SET {key} in-the-way")]);
    let _receiver = world.receiver();
    let at = UnixMillis::now().get();
    let payload = format!(
        r#"{{"device_uuid":"{DEVICE}","tenant_uuid":"{TENANT}","metric_type":"cpu_percent","value":7.5,"timestamp_ms":{at}}}"#
    );
    let id: MessageId = "session:metric:1".parse().unwrap();
    let subject = format!("tenant.{TENANT}.demo.system.{DEVICE}.cpu_percent");
    let ticket = world.broker.publish(subject.clone(), &id, payload.clone().into()).await;
    ticket.unwrap().confirmed().await.unwrap();
    let start = Instant::now();
    while world.listed(&[]).is_empty() {
        assert!(start.elapsed() < DEADLINE, "it is not parked");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let row = world.json(&["list"]).remove(0);
    let (stream, reason) = (&row["stream"], &row["reason"]);
    assert_eq!((stream, reason), (&json!("METRICS"), &json!("row_rejected")), "{row}");
    assert_eq!((&row["tenant"], &row["device"]), (&json!(TENANT), &json!(DEVICE)));
    let (_, shown) = world.dlq(&["show", "1"]);
    for part in ["Wegweiser-Message-Id: session:metric:1", &subject, "delete that key", "7.5"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let raw = world.place.wegweiser(&["dlq", "show", "1", "--raw"]);
    assert_eq!(stdout(&raw), payload, "byte for byte");

    redis(server.port(), &["SELECT 3", &format!("DEL {key}")]);
    let start = Instant::now();
    while world.dlq(&["replay", "--stream", "METRICS"]).0 != 0 {
        assert!(start.elapsed() < DEADLINE, "{:?}", world.dlq(&["replay", "1", "--dry-run"]));
    }
    let metric = "cpu_percent".parse().unwrap();
    let ring = async || rings(&server).newest(DEVICE.parse().unwrap(), &metric, 300).await;
    while ring().await.unwrap().is_empty() {
        assert!(start.elapsed() < DEADLINE, "the point is in no ring");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ring().await.unwrap().len(), 1);
    assert!(world.listed(&[]).is_empty());
}

#[tokio::test]
async fn what_is_replayed_twice_is_one_record() {
    let mut world = World::start(true).await;
    let _server = world.place.start_redis();
    let _receiver = world.receiver();
    // Each parked twice, as when a run was cut after it was sent and before its letter went.
    for attempt in [1, 2] {
        world.park(900 + attempt, Some("session:monitoring:1"), REPORT).await;
        let enveloped = format!(
            r#"{{"message_type":"monitoring","payload":{REPORT},"message_id":"enveloped-1"}}"#
        );
        world.park(902 + attempt, None, &enveloped).await;
        let start = Instant::now();
        while world.messages("DEAD_LETTERS").await > 0 {
            let (_, said) = world.dlq(&["replay", "--all"]);
            assert!(start.elapsed() < DEADLINE, "{said}");
        }
        world.drained().await;
    }
    let sent = world.messages("MONITORING").await;
    for id in ["session:monitoring:1", "enveloped-1"] {
        let mut rows = 0;
        for sequence in 1..=sent {
            rows += u32::from(world.made_the_row(sequence, sender(id)).await);
        }
        assert_eq!(rows, 1, "{id}");
    }
    assert!(sent >= 2, "{sent}");
}

#[tokio::test]
async fn a_message_without_an_id_that_had_its_effect_has_no_second_one() {
    let world = World::start(false).await;
    let received = UnixMillis::new(1_790_230_470_084);
    let report = MonitoringReport {
        tenant: TENANT.parse().unwrap(),
        device: DEVICE.parse().unwrap(),
        at: received,
        report_type: "disk".into(),
        report: "{}".into(),
    };
    let key = MessageKey::Place { stream: "MONITORING".into(), sequence: 904, taken: received };
    let write = RealtimeWrite { body: RealtimeBody::Monitoring(&report), key, received };
    for written in records(&world.postgres).write_realtime(&[write]).await.unwrap() {
        let _ = written.unwrap();
    }
    world.park(904, None, REPORT).await;
    world.park(905, None, REPORT).await;
    let (code, said) = world.dlq(&["replay", "--all"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("had its effect before it was parked"), "{said}");
    assert_eq!(world.messages("MONITORING").await, 1, "only the other was sent");
    let there = world.broker.stored_message("MONITORING", 1).await.unwrap().unwrap();
    let id = there.message_id.unwrap();
    assert_eq!(id.as_str(), "replay:MONITORING:905:1790230470084");
    assert_eq!(world.messages("DEAD_LETTERS").await, 0);
}

#[tokio::test]
async fn a_letter_that_its_stream_did_not_take_is_kept() {
    let world = World::start(false).await;
    // Its own original, its sender's repetition, and a stranger's message under the same id.
    let original = world.publish(TENANT, "original", REPORT).await;
    world.publish(TENANT, "repeated", REPORT).await;
    world.publish(OTHER_TENANT, "stolen", REPORT).await;
    world.park(original, Some("original"), REPORT).await;
    world.park(902, Some("repeated"), REPORT).await;
    world.park(903, Some("stolen"), REPORT).await;
    world.park_of(TENANT, 904, None, "", true).await;

    let (code, said) = world.dlq(&["replay", "--all"]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(world.listed(&[]), [1, 3, 4], "{said}");
    assert!(said.contains("was sent before and is there"), "{said}");
    assert!(said.contains("within the stream's duplicate window; try later"), "{said}");
    assert!(said.contains("a tombstone has no payload"), "{said}");
    assert_eq!(world.messages("MONITORING").await, 3, "nothing was sent twice");
    let outcome = |row: &Value| row["detail"]["outcome"].as_str().unwrap().to_owned();
    let trail: Vec<String> = world.json(&["trail", "1"]).iter().map(outcome).collect();
    assert_eq!(trail.len(), 2, "{trail:?}");
    assert!(trail[0].contains("duplicate window") && trail[1] == "sending", "{trail:?}");
}

#[tokio::test]
async fn a_replay_that_is_killed_goes_on_where_it_was() {
    const LETTERS: u64 = 300;
    let world = World::start(false).await;
    for sequence in 1..=LETTERS {
        let id = format!("session:monitoring:{sequence}");
        world.park(1_000 + sequence, Some(&id), &format!(r#"{{"n":{sequence}}}"#)).await;
    }
    let mut killed = 0;
    for at_least in [40, 150] {
        let mut command = world.place.program("wegweiser");
        command.args(["dlq", "replay", "--all", "--rate", "200"]);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while world.messages("MONITORING").await < at_least {
            assert!(start.elapsed() < DEADLINE, "it sends nothing");
        }
        run.kill().unwrap();
        killed += u32::from(run.wait().unwrap().code().is_none());
        let (sent, left) =
            (world.messages("MONITORING").await, world.messages("DEAD_LETTERS").await);
        assert!(sent + left >= LETTERS, "{sent} sent and {left} left: some are lost");
    }
    assert_eq!(killed, 2, "a run ended before it was killed");
    let (code, said) = world.dlq(&["replay", "--all", "--rate", "1000"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.messages("DEAD_LETTERS").await, 0);
    assert_eq!(world.messages("MONITORING").await, LETTERS, "each once");
    let trail = world.json(&["trail", "--limit", "10000"]);
    for letter in 1..=LETTERS {
        let object = format!("DEAD_LETTERS {letter}");
        let rows: Vec<_> = trail.iter().filter(|row| row["object"] == object).collect();
        assert!(rows.len() >= 2, "{object} went without a word");
        assert!(rows[0]["who"].as_str().unwrap().ends_with("operator at the broker"), "{rows:?}");
    }
}

#[tokio::test]
async fn filters_are_exact_and_an_export_is_whole() {
    let world = World::start(false).await;
    let binary = "not JSON \u{1b}[2J at all";
    world.park(1, Some("a"), REPORT).await;
    let between = UnixMillis::now();
    world.park_of(OTHER_TENANT, 2, None, binary, false).await;
    world.park_of(TENANT, 3, None, "", true).await;

    assert_eq!(world.listed(&[]), [1, 2, 3]);
    assert_eq!(world.listed(&["--tenant", OTHER_TENANT]), [2]);
    assert_eq!(world.listed(&["--tenant", "unknown"]), [3]);
    assert_eq!(world.listed(&["--device", DEVICE]), [1, 2]);
    assert_eq!(world.listed(&["--reason", "deliveries_exhausted", "--limit", "2"]), [1, 2]);
    assert_eq!(world.listed(&["--reason", "row_rejected"]), [0; 0]);
    assert_eq!(world.listed(&["--stream", "RESPONSES"]), [0; 0]);
    let since = world.json(&["list"])[1]["parked_ms"].as_i64().unwrap();
    assert!(since >= between.get());
    let since = rfc3339(since);
    assert_eq!(world.listed(&["--since", &since]), [2, 3]);
    assert_eq!(world.listed(&["--until", &since]), [1]);
    assert_eq!(world.listed(&["--since", "1h", "--until", &since]), [1]);
    let (code, said) = world.dlq(&["list", "--reason", "typo"]);
    assert!(code == 1 && said.contains("row_rejected"), "{said}");
    let (_, shown) = world.dlq(&["show", "2"]);
    assert!(shown.contains("not JSON"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "a sender moves the operator's cursor");

    let (_, stats) = world.dlq(&["stats", "--output", "json"]);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["letters"], 3);
    assert_eq!(stats["reasons"][0]["letters"], 3);
    assert_eq!(stats["tenants"].as_array().unwrap().len(), 3, "{stats}");
    assert!(stats["oldest_ms"].as_i64().unwrap() <= between.get(), "{stats}");
    assert!(stats["newest_ms"].as_i64().unwrap() >= between.get(), "{stats}");

    let out = world.place.path("letters.jsonl");
    let (code, said) = world.dlq(&["export", "--out", text(&out)]);
    assert_eq!(code, 0, "{said}");
    let lines = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let encoded = data_encoding::BASE64.encode(binary.as_bytes());
    assert_eq!(lines[1]["payload_base64"], encoded);
    assert_eq!(lines[0]["headers"]["Wegweiser-Message-Id"], "a");
    assert_eq!(world.dlq(&["export", "--out", text(&out)]).0, 1, "it was written over");
    assert_eq!(world.dlq(&["export"]).1.lines().count(), 3);
}

#[tokio::test]
async fn nothing_is_discarded_without_a_reason_a_yes_and_a_word_in_the_log() {
    let mut world = World::start(false).await;
    world.park(1, Some("a"), REPORT).await;
    world.park_of(OTHER_TENANT, 2, None, REPORT, false).await;

    let because = ["--because", "agent 0.9 sent these, it is replaced"];
    let discard = |more: &[&'static str]| -> Vec<&'static str> {
        [&["discard"], &because[..], more].concat()
    };
    assert_eq!(world.dlq(&["discard", "1", "--yes"]).0, 64, "no reason");
    assert_eq!(world.dlq(&discard(&["--yes"])).0, 1, "no letters are named");
    let (code, said) = world.dlq(&discard(&["1"]));
    assert!(code == 1 && said.contains("--yes"), "{said}");
    assert_eq!(world.dlq(&discard(&["--all", "--dry-run"])).0, 0);
    assert_eq!(world.dlq(&["replay", "--all", "--dry-run"]).0, 0);
    assert_eq!(world.listed(&[]), [1, 2]);
    assert_eq!(world.messages("MONITORING").await, 0);
    assert!(world.json(&["trail"]).is_empty(), "a dry run is no change");

    world.postgres.stop().unwrap();
    let (code, said) = world.dlq(&discard(&["--all", "--yes"]));
    assert!(code == 1 && said.contains("audit log"), "{said}");
    assert_eq!(world.dlq(&["replay", "1"]).0, 1);
    assert_eq!(world.listed(&[]), [1, 2], "a change without a word in the log");
    assert_eq!(world.messages("MONITORING").await, 0);
    world.postgres.restart().unwrap();

    let (code, said) = world.dlq(&discard(&["--tenant", OTHER_TENANT, "--yes"]));
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.listed(&[]), [1]);
    let trail = world.json(&["trail", "2"]);
    assert_eq!(trail[0]["detail"]["outcome"], "discarded", "{trail:?}");
    assert_eq!(trail[1]["detail"]["because"], because[1], "{trail:?}");
    assert!(world.nats.is_running());
}

/// Speaks to Redis as another program would.
fn redis(port: u16, commands: &[&str]) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for command in commands {
        connection.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut answer = [0; 64];
        let length = connection.read(&mut answer).unwrap();
        assert!(!answer[..length].starts_with(b"-"), "{command}");
    }
}

fn sender(id: &str) -> MessageKey {
    MessageKey::Sender(id.parse().unwrap())
}

fn rfc3339(milliseconds: i64) -> String {
    let time = i128::from(milliseconds) * 1_000_000;
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(time).unwrap();
    time.format(&time::format_description::well_known::Rfc3339).unwrap()
}
