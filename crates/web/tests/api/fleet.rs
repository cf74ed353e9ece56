//! The fleet page by page, in every order, with values, counts and history.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::time::Duration;

use protocol::{DeviceId, MonitoringReport, UnixMillis};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use storage::{HeartbeatWrite, OfflineRule, RealtimeBody, RealtimeWrite, Registration, RingWrite};
use uuid::Uuid;

use crate::support::{DEVICE, Servers, TENANT, Web, heartbeat, point};

const RULE: OfflineRule = OfflineRule { silence: Duration::from_secs(120), missed_heartbeats: 3 };
const START: i64 = 1_790_000_000_000;

/// `count` devices, each a second older than the one before; every third is registered by name.
async fn fleet(servers: &Servers, count: u128) -> Vec<String> {
    let records = servers.records();
    let tenant = TENANT.parse().unwrap();
    records.ensure_tenant(tenant, "Acme").await.unwrap();
    let mut ids = Vec::new();
    for number in 0..count {
        let device = DeviceId::new(Uuid::from_u128(number + 1));
        if number % 3 == 0 {
            let name = format!("till {}", count - number);
            let wanted = Registration { tenant, device, name: &name, role: "device" };
            records.register_device(wanted).await.unwrap();
        }
        let at = START - i64::try_from(number).unwrap() * 1_000;
        let mut beat = heartbeat(TENANT, &device.to_string(), at);
        beat.details =
            json!({"system_info": {"hostname": format!("host-{number}")}}).to_string().into();
        let write = HeartbeatWrite { heartbeat: &beat, number: None, received: beat.at };
        let _ = records.write_heartbeats(&[write], &RULE).await.unwrap().pop().unwrap().unwrap();
        ids.push(device.to_string());
    }
    ids
}

fn devices(list: &Value) -> Vec<String> {
    let rows = list["devices"].as_array().unwrap();
    rows.iter().map(|row| row["device"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_follow_each_other_without_hole_or_repetition_in_every_order() {
    let servers = Servers::with_tables().await;
    let ids = fleet(&servers, 10).await;
    let web = Web::start(&servers);
    for sort in ["device", "name", "state", "last_heartbeat", "agent_version", "clock_offset"] {
        for sort in [sort.to_owned(), format!("-{sort}")] {
            let mut seen = Vec::new();
            let mut path = format!("/v1/devices?limit=3&sort={sort}");
            loop {
                let (status, page) = web.json(&path).await;
                assert_eq!(status, StatusCode::OK, "{page}");
                seen.extend(devices(&page));
                assert_eq!(page["more"], !page["next"].is_null());
                let Some(next) = page["next"].as_str() else { break };
                path = format!("/v1/devices?limit=3&sort={sort}&after={next}");
            }
            if sort == "device" || sort == "-last_heartbeat" {
                assert_eq!(seen, ids, "{sort}");
            }
            seen.sort();
            assert_eq!(seen, ids, "{sort}");
        }
    }
    let (_, named) = web.json("/v1/devices?sort=-name&limit=4").await;
    assert_eq!(named["devices"][0]["name"], "till 7");
    for (text, found) in [("HOST-7", 1), ("till", 4), ("100%25", 0), ("_", 0), (&*ids[4], 1)] {
        let (_, list) = web.json(&format!("/v1/devices?text={text}")).await;
        assert_eq!(devices(&list).len(), found, "{text}");
    }
    let two = format!("/v1/devices?device={}&device={}", ids[8], ids[2]);
    assert_eq!(devices(&web.json(&two).await.1), [ids[2].clone(), ids[8].clone()]);
}

#[tokio::test]
async fn states_are_counted_and_values_come_with_the_list() {
    let servers = Servers::with_tables().await;
    let ids = fleet(&servers, 4).await;
    let records = servers.records();
    let tenant = TENANT.parse().unwrap();
    let unseen =
        Registration { tenant, device: DEVICE.parse().unwrap(), name: "new", role: "device" };
    records.register_device(unseen).await.unwrap();
    let revoked = ids[3].parse().unwrap();
    records.set_device_state(tenant, revoked, storage::DeviceState::Revoked).await.unwrap();
    // The oldest two were silent for too long by then.
    let horizon = UnixMillis::new(START - 2_000 + 120_001);
    records.mark_silent_devices(horizon, UnixMillis::new(0)).await.unwrap();
    for at in [START + 2, START, START + 1] {
        let point = point(&ids[0], at, 7.5);
        let write = RingWrite { point: &point, number: None, received: point.at, repeated: false };
        let _ = servers.rings().write(&[write]).await.unwrap().pop().unwrap().unwrap();
    }
    let web = Web::start(&servers);

    let (_, fleet) = web.json("/v1/fleet").await;
    let counts = ["devices", "online", "offline", "unseen", "revoked", "clock_off"];
    assert_eq!(counts.map(|name| fleet[name].as_i64().unwrap()), [4, 2, 1, 1, 1, 0], "{fleet}");
    for (state, found) in [
        ("online", &ids[..2]),
        ("offline", &ids[2..3]),
        ("revoked", &ids[3..]),
        ("unseen", &[DEVICE.to_owned()]),
    ] {
        let (_, list) = web.json(&format!("/v1/devices?state={state}")).await;
        assert_eq!(devices(&list), found, "{state}");
    }
    let (_, unseen) = web.json("/v1/devices?state=unseen").await;
    assert_eq!(unseen["devices"][0]["last_heartbeat"], Value::Null);
    assert_eq!(unseen["devices"][0]["tenant_name"], "Acme");

    let (_, list) = web.json("/v1/devices?metric=cpu_percent&metric=uptime&points=2&limit=2").await;
    let points = json!({"cpu_percent": [[START + 1, 7.5], [START + 2, 7.5]]});
    assert_eq!(list["devices"][0]["metrics"], points);
    assert_eq!(list["devices"][1]["metrics"], json!({}));
    let (_, all) = web.json(&format!("/v1/devices/{}/metrics?last=2", ids[0])).await;
    assert_eq!(all["metrics"], points);

    let path =
        format!("/v1/devices/{}/connectivity?since={}&until={}", ids[2], START - 9_000, START * 2);
    let (_, history) = web.json(&path).await;
    let changes = json!([
        {"at": START - 2_000, "online": true}, {"at": horizon, "online": false},
    ]);
    assert_eq!((&history["changes"], &history["online_before"]), (&changes, &Value::Null));
    let path = format!("/v1/devices/{}/connectivity?since={START}&until={}", ids[2], START * 2);
    assert_eq!(web.json(&path).await.1["online_before"], true);
}

#[tokio::test]
async fn reports_come_newest_first_page_by_page() {
    let servers = Servers::with_tables().await;
    let device = fleet(&servers, 1).await.remove(0);
    for number in 0..3 {
        let report = MonitoringReport {
            tenant: TENANT.parse().unwrap(),
            device: device.parse().unwrap(),
            at: UnixMillis::new(START),
            report_type: "full".into(),
            report: json!({ "number": number }).to_string().into(),
        };
        let write = RealtimeWrite {
            body: RealtimeBody::Monitoring(&report),
            key: protocol::MessageKey::Sender(format!("m-{number}").parse().unwrap()),
            received: report.at,
        };
        let _ = servers.records().write_realtime(&[write]).await.unwrap().pop().unwrap().unwrap();
    }
    let web = Web::start(&servers);
    let path = format!("/v1/devices/{device}/reports");
    let (_, newest) = web.json(&path).await;
    assert_eq!(newest["reports"][0]["payload"], json!({"number": 2}));
    let next = newest["next"].as_i64().unwrap();
    let (_, rest) = web.json(&format!("{path}?limit=5&before={next}&type=full")).await;
    assert_eq!(rest["reports"].as_array().unwrap().len(), 2);
    assert_eq!(rest["next"], Value::Null);
    let (_, none) = web.json(&format!("/v1/devices/{device}/responses?command=c")).await;
    assert_eq!(none, json!({"responses": [], "next": null}));
}

#[tokio::test]
async fn what_this_service_has_no_keys_for_is_refused_with_the_command() {
    let servers = Servers::with_tables().await;
    let device = fleet(&servers, 1).await.remove(0);
    let web = Web::start(&servers);
    for (path, command) in [
        (format!("/v1/devices/{device}/revoke"), "wegweiser device revoke"),
        (format!("/v1/devices/{device}/rotate"), "wegweiser device rotate"),
        (format!("/v1/tenants/{TENANT}/suspend"), "wegweiser tenant suspend"),
        (format!("/v1/tenants/{TENANT}/resume"), "wegweiser tenant resume"),
    ] {
        let response = web.ask(Method::POST, &path, Some(&servers.admin)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CONFLICT, "{path}");
        let problem: Value = response.json().await.unwrap();
        assert!(problem["remedy"].as_str().unwrap().starts_with(command), "{problem}");
    }
    let (_, tenant) = web.json(&format!("/v1/tenants/{TENANT}")).await;
    assert_eq!(
        (&tenant["name"], &tenant["devices"], &tenant["online"]),
        (&json!("Acme"), &json!(1), &json!(1))
    );
    let (_, credentials) = web.json(&format!("/v1/devices/{device}/credentials")).await;
    assert_eq!(
        (&credentials["state"], &credentials["credentials"]),
        (&json!("active"), &json!([]))
    );
}
