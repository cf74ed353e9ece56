//! What was written is read back: points, devices, schema.

use protocol::{MetricPoint, UnixMillis};
use serde_json::{Value, json};
use storage::{HeartbeatWrite, RingWrite};

use crate::support::{
    DEVICE, OTHER_TENANT, Place, RULE, TENANT, heartbeat, point, records, rings, stderr, stdout,
};

#[tokio::test]
async fn the_newest_points_come_in_the_order_of_time_and_each_once() {
    let mut place = Place::empty();
    let redis = place.start_redis();
    let rings = rings(&redis);
    let start = 1_790_230_470_000;
    // Two replicas finish out of order and both wrote the point at +3000.
    for batch in [&[4, 5, 3][..], &[1, 2, 3][..]] {
        let points: Vec<MetricPoint> =
            batch.iter().map(|n| point(start + n * 1_000, *n as f64 + 0.5)).collect();
        let writes: Vec<RingWrite<'_>> = points
            .iter()
            .map(|point| RingWrite { point, number: None, received: point.at, repeated: false })
            .collect();
        for written in rings.write(&writes).await.unwrap() {
            let _ = written.unwrap();
        }
    }

    let get = ["metrics", "get", DEVICE, "cpu_percent", "--last", "4"];
    let table = place.wegweiser(&get);
    assert_eq!(
        stdout(&table),
        "TIME                      VALUE\n\
         2026-09-24T06:14:32.000Z  2.5\n\
         2026-09-24T06:14:33.000Z  3.5\n\
         2026-09-24T06:14:34.000Z  4.5\n\
         2026-09-24T06:14:35.000Z  5.5\n",
        "{}",
        stderr(&table)
    );
    let output = place.wegweiser(&[&get[..], &["--output", "json"]].concat());
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected: Vec<Value> =
        (2..=5).map(|n| json!({"timestamp": start + n * 1_000, "value": n as f64 + 0.5})).collect();
    assert_eq!(read, json!({"device": DEVICE, "metric": "cpu_percent", "points": expected}));
}

#[tokio::test]
async fn an_unknown_metric_or_device_and_a_wide_window_are_errors_that_say_so() {
    let mut place = Place::empty();
    let redis = place.start_redis();
    let unknown = place.wegweiser(&["metrics", "get", DEVICE, "cpu_percent"]);
    assert_eq!(unknown.status.code(), Some(1));
    let said = stderr(&unknown);
    assert!(said.contains("no point of metric cpu_percent") && said.contains(DEVICE), "{said}");

    for last in ["0", "301"] {
        let output = place.wegweiser(&["metrics", "get", DEVICE, "uptime", "--last", last]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("give 1 to 300"), "{}", stderr(&output));
    }
    drop(redis);
    let away = place.wegweiser(&["metrics", "get", DEVICE, "cpu_percent"]);
    assert_eq!(away.status.code(), Some(1));
    assert!(stderr(&away).contains("redis is unavailable"), "{}", stderr(&away));
}

#[tokio::test]
async fn devices_are_listed_by_tenant_and_by_state() {
    let mut place = Place::empty();
    let postgres = place.start_postgres();
    let status = place.wegweiser(&["migrate", "--status"]);
    assert_eq!(status.status.code(), Some(2), "{}", stdout(&status));
    let migrated = place.wegweiser(&["migrate"]);
    assert!(stdout(&migrated).starts_with("applied  V1__records"), "{}", stderr(&migrated));
    let again = place.wegweiser(&["migrate"]);
    assert_eq!(stdout(&again), "up to date: nothing to apply\n");
    assert_eq!(place.wegweiser(&["migrate", "--status"]).status.code(), Some(0));

    let records = records(&postgres);
    let now = UnixMillis::now();
    let silent = "44444444-4444-4444-8444-444444444444";
    let ten_minutes_ago = now.get() - 600_000;
    let beats =
        [heartbeat(TENANT, DEVICE, now.get()), heartbeat(OTHER_TENANT, silent, ten_minutes_ago)];
    let writes = beats.each_ref().map(|beat| HeartbeatWrite {
        heartbeat: beat,
        number: None,
        received: beat.at,
    });
    for written in records.write_heartbeats(&writes, &RULE).await.unwrap() {
        let _ = written.unwrap();
    }
    assert_eq!(records.mark_silent_devices(now, UnixMillis::new(0)).await.unwrap().len(), 1);

    let all = stdout(&place.wegweiser(&["devices"]));
    assert!(all.starts_with("TENANT ") && all.lines().count() == 3, "{all}");
    let offline = stdout(&place.wegweiser(&["devices", "--offline"]));
    let row: Vec<&str> = offline.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], [OTHER_TENANT, silent, "offline"], "{offline}");
    assert_eq!((row[3], *row.last().unwrap()), ("10m", "1.4.0"), "{offline}");

    let json = place.wegweiser(&["devices", "--tenant", TENANT, "--online", "--output", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
    assert_eq!(json[0]["device"], DEVICE);
    assert_eq!(json[0]["last_heartbeat"], now.get());
    let none = place.wegweiser(&["devices", "--tenant", TENANT, "--offline", "--output", "json"]);
    assert_eq!(stdout(&none), "[]\n");
}
