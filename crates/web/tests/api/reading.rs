//! What was written is read back as the same window.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use storage::{HeartbeatWrite, OfflineRule, RingWrite};

use crate::support::{DEVICE, Servers, TENANT, Web, heartbeat, point};

const RULE: OfflineRule = OfflineRule { silence: Duration::from_secs(120), missed_heartbeats: 3 };
const OTHER_TENANT: &str = "33333333-3333-4333-8333-333333333333";
const START: i64 = 1_790_230_470_000;

#[tokio::test]
async fn the_newest_points_come_in_the_order_of_time_and_each_once() {
    let servers = Servers::with_tables().await;
    let rings = servers.rings();
    // Two replicas finish out of order and both wrote the point at +3.
    for batch in [&[4, 5, 3][..], &[1, 2, 3][..]] {
        let points: Vec<_> =
            batch.iter().map(|n| point(DEVICE, START + n, *n as f64 + 0.5)).collect();
        let writes: Vec<RingWrite<'_>> = points
            .iter()
            .map(|point| RingWrite { point, number: None, received: point.at, repeated: false })
            .collect();
        for written in rings.write(&writes).await.unwrap() {
            let _ = written.unwrap();
        }
    }
    let web = Web::start(&servers);
    let path = format!("/v1/devices/{DEVICE}/metrics/cpu_percent");
    let window = |range: std::ops::RangeInclusive<i64>| {
        let points: Vec<Value> =
            range.map(|n| json!({"timestamp": START + n, "value": n as f64 + 0.5})).collect();
        json!({"device": DEVICE, "metric": "cpu_percent", "points": points})
    };
    assert_eq!(web.json(&path).await, (StatusCode::OK, window(1..=5)));
    assert_eq!(web.json(&format!("{path}?last=2")).await, (StatusCode::OK, window(4..=5)));
    let (status, _) = web.json(&format!("{path}?last=300")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn devices_are_listed_by_tenant_and_up_to_a_limit() {
    let servers = Servers::with_tables().await;
    let records = servers.records();
    let others = ["a", "b", "c"].map(|n| format!("4444444{n}-4444-4444-8444-444444444444"));
    let mut beats = vec![heartbeat(TENANT, DEVICE, START)];
    beats.extend(others.iter().map(|device| heartbeat(OTHER_TENANT, device, START)));
    beats[0].details = r#"{"labels": {"site": "Köln, 2", "rack": "7"}}"#.into();
    let writes: Vec<HeartbeatWrite<'_>> = beats
        .iter()
        .map(|heartbeat| HeartbeatWrite { heartbeat, number: None, received: heartbeat.at })
        .collect();
    for written in records.write_heartbeats(&writes, &RULE).await.unwrap() {
        let _ = written.unwrap();
    }
    let web = Web::start(&servers);

    let one = json!({
        "tenant": TENANT, "device": DEVICE, "online": true, "last_online_change": START,
        "last_heartbeat": START, "clock_offset_ms": 0, "agent_version": "1.4.0", "session": null,
        "labels": {"rack": "7", "site": "Köln, 2"}, "tenant_name": null, "name": "",
        "hostname": null, "platform": null, "registered": false, "revoked": false,
        "credential_expires_at": null,
    });
    let mut whole = one.clone();
    whole["info"] = json!({"labels": {"site": "Köln, 2", "rack": "7"}});
    assert_eq!(web.json(&format!("/v1/devices/{DEVICE}")).await, (StatusCode::OK, whole));
    let (_, mine) = web.json(&format!("/v1/devices?tenant={TENANT}")).await;
    assert_eq!(mine, json!({"devices": [one], "more": false, "next": null, "behind_ms": null}));
    let labelled = |labels: &str| format!("/v1/devices?{labels}");
    let (_, both) = web.json(&labelled("label=site%3DK%C3%B6ln,+2&label=rack%3D7")).await;
    assert_eq!(both, mine, "all labels of a query hold");
    let (_, none) = web.json(&labelled("label=site%3DK%C3%B6ln,+2&label=rack%3D8")).await;
    assert_eq!(none["devices"], json!([]));
    let (_, some) = web.json(&format!("/v1/devices?tenant={OTHER_TENANT}&limit=2")).await;
    let ids: Vec<&Value> =
        some["devices"].as_array().unwrap().iter().map(|row| &row["device"]).collect();
    assert_eq!(ids, [&others[0], &others[1]]);
    assert_eq!(some["more"], true);
    let (_, all) = web.json("/v1/devices").await;
    assert_eq!(all["devices"].as_array().unwrap().len(), 4);

    // Known, but its ring has ended or never began.
    let (status, empty) = web.json(&format!("/v1/devices/{DEVICE}/metrics/uptime")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(empty["points"], json!([]));
    let stranger = "99999999-9999-4999-8999-999999999999";
    for path in
        [format!("/v1/devices/{stranger}"), format!("/v1/devices/{stranger}/metrics/uptime")]
    {
        let (status, problem) = web.json(&path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(problem["field"], "device");
    }
}
