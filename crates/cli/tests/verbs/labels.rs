//! Labels: what the device reports, what operators set, and who wins.

use protocol::{Labels, UnixMillis};
use serde_json::{Value, json};
use storage::{AuditFilter, HeartbeatWrite, Registration};

use crate::support::{DEVICE, Place, RULE, TENANT, heartbeat, records, stderr, stdout};

const OTHER: &str = "44444444-4444-4444-8444-444444444444";

#[tokio::test]
async fn what_operators_set_wins_over_what_the_device_reports_and_both_filter() {
    let mut place = Place::empty();
    let postgres = place.start_postgres();
    assert!(place.wegweiser(&["migrate"]).status.success());
    let records = records(&postgres);
    let now = UnixMillis::now();
    let mut reported = Labels::default();
    reported.set("site", "cologne").unwrap();
    reported.set("rack", "7").unwrap();
    let mut beats = [DEVICE, OTHER].map(|device| heartbeat(TENANT, device, now.get()));
    beats[0].details = json!({ "labels": reported }).to_string().into();
    let writes = beats.each_ref().map(|beat| HeartbeatWrite {
        heartbeat: beat,
        number: None,
        received: beat.at,
    });
    for written in records.write_heartbeats(&writes, &RULE).await.unwrap() {
        let _ = written.unwrap();
    }
    let found = |labels: &[&str]| -> Vec<String> {
        let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", *label]).collect();
        let output = place.wegweiser(&[&["devices", "--output", "json"], &labels[..]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        rows.iter().map(|row| row["device"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found(&["site=cologne", "rack=7"]), [DEVICE]);
    assert_eq!(found(&["site=cologne", "rack=8"]), [""; 0]);

    let label = |words: &[&str]| place.wegweiser(&[&["device", "label"], words].concat());
    let unknown = label(&["set", DEVICE, "site=bonn"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("is not registered"), "{}", stderr(&unknown));
    let tenant = TENANT.parse().unwrap();
    records.ensure_tenant(tenant, "Acme").await.unwrap();
    for device in [DEVICE, OTHER] {
        let device = device.parse().unwrap();
        let wanted = Registration { tenant, device, name: "", role: "device" };
        records.register_device(wanted).await.unwrap();
    }

    let set = label(&["set", DEVICE, "site=bonn", "owner=Ms. Ö"]);
    assert!(set.status.success(), "{}", stderr(&set));
    let now_set: Value = serde_json::from_slice(&set.stdout).unwrap();
    assert_eq!(now_set, json!({ "site": "bonn", "owner": "Ms. Ö" }));
    assert_eq!(found(&["site=cologne"]), [""; 0], "the operator's wins");
    assert_eq!(found(&["site=bonn", "rack=7"]), [DEVICE], "the other stays");
    assert!(label(&["unset", DEVICE, "site"]).status.success());
    assert_eq!(found(&["site=cologne", "owner=Ms. Ö"]), [DEVICE], "the device's counts again");

    let many: Vec<String> = (0..32).map(|number| format!("k{number}=v")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = label(&[&["set", DEVICE], &many[..]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("more than 32 labels"), "{}", stderr(&refused));
    let wrong = label(&["set", DEVICE, "Site=x"]);
    assert!(stderr(&wrong).contains("label key \"Site\""), "{}", stderr(&wrong));

    let filter = AuditFilter { action: "device label", limit: 10, ..AuditFilter::default() };
    let trail = records.audit_rows(filter).await.unwrap();
    let details: Vec<&Value> = trail.iter().map(|row| &row.detail["unset"]).collect();
    assert_eq!(details, [&json!(["site"]), &json!([])], "both changes, and no refusal");
    assert_eq!(trail[1].object, format!("device {DEVICE}"));
    assert!(stdout(&place.wegweiser(&["devices"])).contains(OTHER));
}
