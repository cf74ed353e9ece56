//! The checklist: all well, and each server away in turn.

use std::process::Output;

use protocol::UnixMillis;
use serde_json::Value;
use storage::{HeartbeatWrite, RingWrite};

use crate::support::{
    DEVICE, Place, RULE, TENANT, heartbeat, point, records, rings, stderr, stdout,
};

/// The findings by check, as `(level, found, remedy)`.
struct Findings(Value);

impl Findings {
    fn of(output: &Output) -> Self {
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(report["findings"].is_array(), "{}{}", stdout(output), stderr(output));
        Self(report["findings"].clone())
    }

    fn get(&self, check: &str) -> &Value {
        let found = self.0.as_array().and_then(|all| all.iter().find(|one| one["check"] == check));
        found.unwrap_or(&Value::Null)
    }

    fn level(&self, check: &str) -> &str {
        self.get(check)["level"].as_str().unwrap_or("absent")
    }

    fn remedy(&self, check: &str) -> &str {
        self.get(check)["remedy"].as_str().unwrap_or_default()
    }
}

fn doctor(place: &Place) -> (Option<i32>, Findings) {
    let output = place.wegweiser(&["doctor", "--device", DEVICE, "--output", "json"]);
    (output.status.code(), Findings::of(&output))
}

#[tokio::test]
async fn a_whole_installation_fails_only_for_the_receiver_that_does_not_run() {
    let mut place = Place::empty();
    let _nats = place.start_nats();
    let redis = place.start_redis();
    let postgres = place.start_postgres();
    let (_, before) = doctor(&place);
    assert_eq!(before.level("streams"), "fail");
    assert!(before.remedy("streams").contains("wegweiser streams apply"));
    assert_eq!((before.level("schema"), before.remedy("schema")), ("fail", "wegweiser migrate"));
    assert_eq!(before.level("rings"), "warn");

    assert!(place.wegweiser(&["streams", "apply"]).status.success());
    assert!(place.wegweiser(&["migrate"]).status.success());
    let (_, unknown) = doctor(&place);
    assert!(unknown.remedy("device heartbeat").contains("wegweiser device add"));
    assert_eq!(unknown.level("device metrics"), "fail");

    let now = UnixMillis::now();
    let beat = heartbeat(TENANT, DEVICE, now.get());
    let beats = [HeartbeatWrite { heartbeat: &beat, number: None, received: now }];
    let written = records(&postgres).write_heartbeats(&beats, &RULE).await.unwrap();
    assert!(written.iter().all(Result::is_ok));
    let point = point(now.get(), 12.5);
    let points = [RingWrite { point: &point, number: None, received: now, repeated: false }];
    let written = rings(&redis).write(&points).await.unwrap();
    assert!(written.iter().all(Result::is_ok));

    let (code, after) = doctor(&place);
    for check in [
        "broker",
        "broker TLS",
        "streams",
        "broker clock",
        "redis",
        "redis clock",
        "rings",
        "postgres",
        "postgres clock",
        "schema",
        "devices",
        "device heartbeat",
        "device clock",
        "device metrics",
    ] {
        assert_eq!(after.level(check), "ok", "{check}: {}", after.get(check));
    }
    let consumer = "consumer METRICS/rings";
    assert_eq!(after.level(consumer), "fail", "nobody pulls");
    assert!(after.remedy(consumer).contains("wegweiser-nats-receiver"));
    assert_eq!(code, Some(1));

    let text = place.wegweiser(&["doctor"]);
    let text = stdout(&text);
    assert!(text.contains("ok    redis "), "{text}");
    assert!(text.contains("remedy: systemctl start wegweiser-nats-receiver"), "{text}");
    assert!(!text.contains('\x1b'), "colour in a pipe");
}

#[test]
fn each_server_that_is_away_is_named_and_the_others_are_still_checked() {
    let mut place = Place::empty();
    let mut nats = place.start_nats();
    let mut redis = place.start_redis();
    let mut postgres = place.start_postgres();
    assert!(place.wegweiser(&["streams", "apply"]).status.success());
    assert!(place.wegweiser(&["migrate"]).status.success());

    redis.stop().unwrap();
    let (code, findings) = doctor(&place);
    assert_eq!(code, Some(1));
    assert_eq!(findings.level("redis"), "fail");
    assert!(findings.remedy("redis").contains("redis-cli"), "{}", findings.get("redis"));
    assert_eq!((findings.level("postgres"), findings.level("broker")), ("ok", "ok"));
    redis.restart().unwrap();

    postgres.stop().unwrap();
    let (_, findings) = doctor(&place);
    assert_eq!((findings.level("postgres"), findings.level("schema")), ("fail", "fail"));
    assert!(findings.remedy("postgres").contains("pg_isready"));
    assert_eq!((findings.level("redis"), findings.level("streams")), ("ok", "ok"));
    postgres.restart().unwrap();

    nats.stop().unwrap();
    let (_, findings) = doctor(&place);
    for check in ["broker", "broker TLS", "streams", "consumers", "broker clock"] {
        assert_eq!(findings.level(check), "fail", "{check}");
    }
    assert_eq!((findings.level("redis"), findings.level("postgres")), ("ok", "ok"));
}

#[test]
fn servers_that_hang_do_not_hold_the_doctor_up() {
    let mut place = Place::empty();
    let nats = place.start_nats();
    let redis = place.start_redis();
    let postgres = place.start_postgres();
    nats.pause().unwrap();
    redis.pause().unwrap();
    postgres.pause().unwrap();
    let (code, findings) = doctor(&place);
    assert_eq!(code, Some(1));
    for check in ["broker", "redis", "rings", "postgres", "schema", "devices", "device metrics"] {
        assert_eq!(findings.level(check), "fail", "{check}: {}", findings.get(check));
    }
}

#[test]
fn a_connection_that_is_refused_gets_the_fitting_remedy() {
    let mut place = Place::empty();
    let _nats = place.start_nats();
    let ca = place.path("tls/ca.pem").display().to_string();
    place.set("WEGWEISER_NATS_CA", "");
    let (_, untrusted) = doctor(&place);
    assert!(
        untrusted.remedy("broker").contains("WEGWEISER_NATS_CA"),
        "{}",
        untrusted.get("broker")
    );
    place.set("WEGWEISER_NATS_CA", ca);
    place.set("NATS_CREDS", "");
    let (_, nobody) = doctor(&place);
    assert!(nobody.remedy("broker").contains("NATS_CREDS"), "{}", nobody.get("broker"));
}
