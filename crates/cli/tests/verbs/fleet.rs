//! A simulated fleet against a broker in operator mode with TLS: what its ledger says is what the
//! streams hold.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{OTHER_TENANT, Place, TENANT, stderr, stdout, text};

/// Bound on everything that a story waits for.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn the_ledger_says_what_the_streams_hold_through_a_kill_of_the_broker() {
    let mut place = Place::empty();
    place.declare_tenant(TENANT);
    place.declare_tenant(OTHER_TENANT);
    let mut nats = place.start_nats();
    assert!(place.wegweiser(&["accounts", "apply"]).status.success());
    assert!(place.wegweiser(&["streams", "apply"]).status.success());

    let path = place.path("ledger.jsonl");
    let arguments = ["fleet", "--devices", "20", "--metrics-interval", "250ms", "--for", "12s"];
    let soon = ["--connect-over", "1s", "--reconnect-spread", "1s", "--ledger", text(&path)];
    let arguments = [&arguments[..], &soon].concat();
    let said = std::thread::scope(|scope| {
        let fleet = scope.spawn(|| place.wegweiser(&arguments));
        let start = Instant::now();
        while read(&path).iter().all(|device| count(device, "metric", "confirmed") == 0) {
            assert!(start.elapsed() < DEADLINE, "no point is confirmed");
            std::thread::sleep(Duration::from_millis(50));
        }
        nats.kill().unwrap();
        nats.restart().unwrap();
        fleet.join().unwrap()
    });
    assert_eq!(said.status.code(), Some(0), "{}{}", stdout(&said), stderr(&said));
    assert!(stdout(&said).contains("of 20 connected"), "{}", stdout(&said));

    let ledger = read(&path);
    assert_eq!(ledger.len(), 20);
    let held = place.wegweiser(&["streams", "status", "--output", "json"]);
    let held: Value = serde_json::from_slice(&held.stdout).unwrap();
    let kinds = [("metric", "METRICS"), ("heartbeat", "HEARTBEATS"), ("monitoring", "MONITORING")];
    for (kind, stream) in kinds {
        let sum = |what| ledger.iter().map(|device| count(device, kind, what)).sum::<u64>();
        assert_eq!(sum("handed"), sum("confirmed") + sum("dropped"), "{kind}");
        assert_eq!(messages(&held, stream), sum("confirmed"), "{stream}: each once");
    }
    for device in &ledger {
        for kind in ["metric", "heartbeat"] {
            assert!(count(device, kind, "confirmed") > 0, "{device}");
            assert!(count(device, kind, "last_confirmed_ms") > 0, "{device}");
        }
    }
}

#[test]
fn what_goes_wrong_on_purpose_stands_in_the_ledger_and_nothing_is_lost_or_doubled() {
    let mut place = Place::empty();
    place.declare_tenant(TENANT);
    let _nats = place.start_nats();
    assert!(place.wegweiser(&["accounts", "apply"]).status.success());
    assert!(place.wegweiser(&["streams", "apply"]).status.success());
    let path = place.path("ledger.jsonl");
    let arguments = ["fleet", "--devices", "10", "--metrics-interval", "500ms", "--for", "12s"];
    let wrong = ["--duplicates", "30", "--malformed", "20", "--disconnect-every", "4s"];
    let rest = ["--clock-skew", "90s", "--connect-over", "1s", "--ledger", text(&path)];
    let said = place.wegweiser(&[&arguments[..], &wrong, &rest].concat());
    assert_eq!(said.status.code(), Some(0), "{}{}", stdout(&said), stderr(&said));

    let ledger = read(&path);
    let chaos =
        |what: &str| -> u64 { ledger.iter().map(|device| count(device, "chaos", what)).sum() };
    for what in ["duplicates", "malformed", "malformed_confirmed", "disconnects"] {
        assert!(chaos(what) > 0, "no {what}");
    }
    let held = place.wegweiser(&["streams", "status", "--output", "json"]);
    let held: Value = serde_json::from_slice(&held.stdout).unwrap();
    let confirmed: u64 = ledger.iter().map(|device| count(device, "metric", "confirmed")).sum();
    let malformed = chaos("malformed_confirmed")..=chaos("malformed");
    let beside = messages(&held, "METRICS") - confirmed;
    assert!(malformed.contains(&beside), "{beside} beside the good ones, {malformed:?} malformed");
    let offsets: BTreeSet<i64> =
        ledger.iter().map(|device| device["chaos"]["clock_offset_ms"].as_i64().unwrap()).collect();
    assert!(
        offsets.len() > 5 && offsets.iter().all(|offset| offset.abs() <= 90_000),
        "{offsets:?}"
    );
}

#[test]
fn a_second_start_reports_the_same_devices() {
    let mut place = Place::empty();
    place.declare_tenant(TENANT);
    let _nats = place.start_nats();
    assert!(place.wegweiser(&["accounts", "apply"]).status.success());
    assert!(place.wegweiser(&["streams", "apply"]).status.success());
    let devices = |seed: &str| -> BTreeSet<String> {
        let path = place.path("ledger.jsonl");
        let arguments = ["fleet", "--devices", "5", "--for", "1s", "--connect-over", "10ms"];
        let arguments = [&arguments[..], &["--seed", seed, "--ledger", text(&path)]].concat();
        let said = place.wegweiser(&arguments);
        assert!(said.status.success(), "{}", stderr(&said));
        read(&path).iter().map(|line| line["device"].as_str().unwrap().to_owned()).collect()
    };
    let first = devices("1");
    assert_eq!(first.len(), 5);
    assert_eq!(first, devices("1"));
    assert!(first.is_disjoint(&devices("2")));
}

#[test]
fn a_tenant_without_keys_is_named_before_anything_starts() {
    let mut place = Place::empty();
    place.declare_tenant(TENANT);
    let _nats = place.start_nats();
    let said = place.wegweiser(&["fleet", "--devices", "5", "--for", "1s"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(stderr(&said).contains(TENANT), "{}", stderr(&said));
    assert!(stderr(&said).contains("wegweiser accounts apply"), "{}", stderr(&said));
}

#[test]
fn a_fleet_that_reaches_no_broker_fails_and_says_where_to_look() {
    let mut place = Place::empty();
    place.declare_tenant(TENANT);
    let nats = place.start_nats();
    assert!(place.wegweiser(&["accounts", "apply"]).status.success());
    drop(nats);
    let said =
        place.wegweiser(&["fleet", "--devices", "2", "--for", "1s", "--connect-over", "1ms"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(stderr(&said).contains("2 devices were never connected"), "{}", stderr(&said));
    assert!(stderr(&said).contains("WEGWEISER_LOG"), "{}", stderr(&said));
}

/// The devices of a ledger; none while there is no file.
fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // Written whole: a line that does not parse is a defect.
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(device: &Value, kind: &str, what: &str) -> u64 {
    device[kind][what].as_u64().unwrap_or_default()
}

fn messages(held: &Value, stream: &str) -> u64 {
    let streams = held["streams"].as_array().unwrap();
    let found = streams.iter().find(|status| status["name"] == stream).unwrap();
    found["messages"].as_u64().unwrap()
}
