//! What is taken, what is refused, and that nothing else can happen.

use proptest::prelude::*;

use super::*;

const T: &str = "11111111-1111-4111-8111-111111111111";
const D: &str = "22222222-2222-4222-8222-222222222222";
const NOW: UnixMillis = UnixMillis::new(1_790_000_000_000);

fn metric() -> DeviceSubject {
    format!("tenant.{T}.demo.system.{D}.cpu_percent").parse().unwrap()
}

fn subject(tail: &str) -> DeviceSubject {
    format!("tenant.{T}.device.{D}.{tail}").parse().unwrap()
}

fn point(payload: &str) -> MetricPoint {
    match decode(&metric(), payload.as_bytes(), NOW) {
        Ok((Event::Metric(point), _)) => point,
        other => panic!("{payload}: {other:?}"),
    }
}

fn code(subject: &DeviceSubject, payload: &str) -> &'static str {
    decode(subject, payload.as_bytes(), NOW).expect_err(payload).code()
}

#[test]
fn a_point_is_the_same_in_every_shape_that_the_field_sends() {
    let full = format!(
        r#"{{"device_uuid":"{D}","tenant_uuid":"{T}","metric_type":"cpu_percent","value":12.5,"timestamp_ms":1789999999000}}"#
    );
    let expected = point(&full);
    assert_eq!(expected.value, 12.5);
    assert_eq!(expected.at, UnixMillis::new(1_789_999_999_000));
    for shape in [
        r#"{"value":12.5,"timestamp_ms":1789999999000}"#.to_owned(),
        r#"{"value":12.5,"timestamp":1789999999000}"#.to_owned(),
        r#"{"value":12.5,"timestamp":1789999999}"#.to_owned(),
        r#"{"value":12.5,"timestamp":1789999999.0,"extra":{"a":[1]}}"#.to_owned(),
        r#"{"value":12.5,"timestamp":"1789999999000"}"#.to_owned(),
        full.replace("timestamp_ms", "timestamp"),
        full.replace("1789999999000", "1789999999"),
        format!(
            r#"{{"tenant_uuid":"{T}","device_uuid":"{D}","message_type":"metric","payload":{full},"timestamp":1,"message_id":"m-1"}}"#
        ),
        r#"{"message_type":"metric","payload":{"value":12.5},"timestamp":1789999999000,"message_id":"m-1"}"#.to_string(),
    ] {
        assert_eq!(point(&shape), expected, "{shape}");
    }
}

#[test]
fn without_a_time_the_brokers_counts() {
    assert_eq!(point(r#"{"value":1}"#).at, NOW);
}

#[test]
fn each_rule_of_time_holds_at_its_edges() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let ahead = NOW.get() + DAY_MS;
    let body = |stamp: &str| format!(r#"{{"value":1,"timestamp_ms":{stamp}}}"#);
    for (stamp, taken) in [
        ("946684800000", 946_684_800_000),
        ("946684800", 946_684_800_000),
        ("1789999999.0004", 1_789_999_999_000),
        ("1789999999.0006", 1_789_999_999_001),
        (&ahead.to_string(), ahead),
    ] {
        assert_eq!(point(&body(stamp)).at.get(), taken, "{stamp}");
    }
    let beyond = (ahead + 1).to_string();
    for stamp in
        ["946684799", "946684799999", "0", "-1", "-1789999999000", "99999999999", "1e300", &beyond]
    {
        assert_eq!(code(&metric(), &body(stamp)), "timestamp_out_of_range", "{stamp}");
    }
}

#[test]
fn an_envelope_gives_its_message_id() {
    let payload = r#"{"message_type":"x","payload":{"value":1},"message_id":"m-1"}"#;
    let (_, id) = decode(&metric(), payload.as_bytes(), NOW).unwrap();
    assert_eq!(id.unwrap().as_str(), "m-1");
}

#[test]
fn poison_is_named() {
    let other = "33333333-3333-4333-8333-333333333333";
    for (payload, expected) in [
        ("{".to_owned(), "malformed_json"),
        (r#"{"value":NaN}"#.to_owned(), "malformed_json"),
        (r#"{"value":1e999}"#.to_owned(), "malformed_json"),
        ("[1]".to_owned(), "schema_violation"),
        ("{}".to_owned(), "schema_violation"),
        (r#"{"value":"12"}"#.to_owned(), "schema_violation"),
        (r#"{"value":1,"timestamp_ms":"soon"}"#.to_owned(), "schema_violation"),
        (r#"{"value":1,"timestamp_ms":-5}"#.to_owned(), "timestamp_out_of_range"),
        (r#"{"value":1,"timestamp_ms":1890000000000}"#.to_owned(), "timestamp_out_of_range"),
        (format!(r#"{{"value":1,"device_uuid":"{other}"}}"#), "identity_mismatch"),
        (format!(r#"{{"value":1,"tenant_uuid":"{other}"}}"#), "identity_mismatch"),
        (r#"{"value":1,"device_uuid":"me"}"#.to_owned(), "identity_mismatch"),
        (r#"{"value":1,"metric_type":"uptime"}"#.to_owned(), "identity_mismatch"),
        (r#"{"message_type":"m","payload":7}"#.to_owned(), "schema_violation"),
        (" ".repeat(METRIC_PAYLOAD_MAX_BYTES + 1), "oversized"),
    ] {
        assert_eq!(code(&metric(), &payload), expected, "{}", payload.trim());
    }
    assert_eq!(code(&subject("response"), r#"{"result":{}}"#), "schema_violation");
    assert_eq!(code(&subject("command"), r#"{"command":"ping"}"#), "unknown_subject");
}

#[test]
fn a_first_generation_heartbeat_keeps_all_it_says() {
    let payload = format!(
        r#"{{"device_uuid":"{D}","tenant_uuid":"{T}","timestamp":1789999999000,"agent_version":"3.1","session_id":"s-9","status":{{"connected":true}},"system_info":{{"hostname":"web-1"}},"capabilities":{{"osquery":true}}}}"#
    );
    let (event, _) = decode(&subject("status.heartbeat"), payload.as_bytes(), NOW).unwrap();
    let Event::Heartbeat(heartbeat) = event else { panic!("{event:?}") };
    assert_eq!(heartbeat.agent_version.as_deref(), Some("3.1"));
    assert_eq!(heartbeat.session.as_deref(), Some("s-9"));
    assert_eq!(heartbeat.interval_ms, None);
    let details: serde_json::Value = serde_json::from_str(&heartbeat.details).unwrap();
    assert_eq!(details["system_info"]["hostname"], "web-1");
}

#[test]
fn a_response_is_understood_nested_and_flat() {
    for payload in [
        r#"{"command_id":"c","result":{"command_id":"c","status":"success","result":{"a":1}}}"#,
        r#"{"result":{"command_id":"c","status":"success"}}"#,
        r#"{"command_id":"c","status":"success"}"#,
        r#"{"command_id":"c","result":{"result":1}}"#,
    ] {
        let (event, _) = decode(&subject("response"), payload.as_bytes(), NOW).unwrap();
        let Event::Response(response) = event else { panic!("{event:?}") };
        assert_eq!(&*response.command_id, "c", "{payload}");
        assert_eq!(response.status, ResponseStatus::Success, "{payload}");
    }
}

use crate::ResponseStatus;

proptest! {
    #[test]
    fn any_bytes_get_an_answer(payload in proptest::collection::vec(any::<u8>(), 0..512)) {
        for subject in [metric(), subject("status.heartbeat"), subject("monitoring"), subject("response")] {
            let _ = decode(&subject, &payload, NOW);
        }
    }

    #[test]
    fn nearly_right_json_gets_an_answer(
        field in "(value|timestamp|timestamp_ms|device_uuid|payload|message_type|result|status)",
        json in r#"(null|true|-?[0-9]{1,20}(\.[0-9]{1,3})?(e[0-9]{1,3})?|"[ -~]{0,12}"|\{\}|\[\])"#,
    ) {
        let json = json.replace('\\', "");
        let payload = format!(r#"{{"command_id":"c","value":1,"{field}":{json}}}"#);
        for subject in [metric(), subject("status.heartbeat"), subject("monitoring"), subject("response")] {
            if let Ok((Event::Metric(point), _)) = decode(&subject, payload.as_bytes(), NOW) {
                prop_assert!(point.value.is_finite());
            }
        }
    }

    #[test]
    fn any_subject_gets_an_answer(subject in "[ -~]{0,120}") {
        let _ = subject.parse::<DeviceSubject>();
    }
}
