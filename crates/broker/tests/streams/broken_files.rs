//! Broken files: each mistake is named with file, field, value and remedy, and all at once.

use std::fs;
use std::path::Path;

use broker::streams::load;
use serde_json::{Value, json};

use crate::stage::{REPOSITORY_FILES, copy};

/// Loads the repository's files after `break_them`, and returns the error text.
fn error_after(break_them: impl FnOnce(&Path)) -> String {
    let files = tempfile::tempdir().unwrap();
    copy(Path::new(REPOSITORY_FILES), files.path());
    break_them(files.path());
    match load(files.path(), None) {
        Ok(_) => "no mistake was found".to_owned(),
        Err(mistakes) => mistakes.to_string().replace(&files.path().display().to_string(), "FILES"),
    }
}

fn set(directory: &Path, file: &str, field: &str, value: Value) {
    let path = directory.join(file);
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[field] = value;
    fs::write(path, config.to_string()).unwrap();
}

fn remove(directory: &Path, file: &str, field: &str) {
    let path = directory.join(file);
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove(field).unwrap();
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn each_wrong_field_is_named_with_its_value_and_the_remedy() {
    let metrics = "METRICS/stream.json";
    let rings = "METRICS/rings.consumer.json";
    let monitoring = "MONITORING/stream.json";
    for (file, field, value, expected) in [
        (metrics, "max_age", json!("1h"), "max_age is \"1h\"; give nanoseconds as a whole number"),
        (metrics, "max_age", json!(3.6e12), "max_age is 3600000000000.0; give nanoseconds"),
        (metrics, "max_age", json!(-1), "max_age is -1; give nanoseconds"),
        (metrics, "max_byte", json!(1), "max_byte is 1; no field of that name; known: name, "),
        (metrics, "retention", json!("limit"), "give one of limits, interest, workqueue"),
        (metrics, "num_replicas", json!(7), "num_replicas is 7; give a whole number from 1 to 5"),
        (metrics, "max_bytes", json!(-1), "max_bytes is -1; give a whole number from 1"),
        (metrics, "no_ack", json!(true), "no_ack is true; give false, or leave it out: a sender"),
        (metrics, "name", json!("METRIC"), "the folder is named \"METRICS\"; make them the same"),
        (metrics, "subjects", json!(["a..b"]), "subjects is [\"a..b\"]; give a list of subjects"),
        (metrics, "subjects", json!([]), "subjects is []; give a list of subjects"),
        (metrics, "subjects", json!(["a.>", "a.b"]), "overlaps with \"a.b\" of the same stream"),
        (
            metrics,
            "subjects",
            json!(["dead.x"]),
            "subjects is \"dead.>\"; overlaps with \"dead.x\"",
        ),
        (metrics, "subjects", json!(["$JS.API.>"]), "is the server's own; only subjects within"),
        (metrics, "duplicate_window", json!(7_200_000_000_000_i64), "give at most max_age, which"),
        (monitoring, "max_msgs_per_subject", json!(-1), "needs max_msgs_per_subject from 1"),
        (metrics, "subject_delete_marker_ttl", json!(1_000_000_000), "needs allow_msg_ttl and"),
        (
            metrics,
            "metadata",
            json!({"wegweiser.managed": "false"}),
            "metadata.wegweiser.managed is",
        ),
        (rings, "durable_name", json!("ring"), "the file is named \"rings\"; make them the same"),
        (rings, "ack_policy", json!("none"), "ack_policy is \"none\"; give one of explicit"),
        (rings, "ack_wait", json!(30), "ack_wait is 30; give nanoseconds as a whole number, at"),
        (
            rings,
            "filter_subject",
            json!("other.*"),
            "filter_subject is \"other.*\"; the stream captures only tenant.*.demo.system.*.*",
        ),
        (
            rings,
            "backoff",
            json!([1_000_000_000]),
            "ack_wait is 30000000000; the server would take the first backoff instead; give 1000000000",
        ),
        (
            rings,
            "backoff",
            json!([30_000_000_000_i64, 2, 3, 4, 5, 6]),
            "has 6 steps; give at most max_deliver, 5",
        ),
        (rings, "num_replicas", json!(3), "give at most those of the stream"),
        (
            rings,
            "deliver_subject",
            json!("push"),
            "deliver_subject is \"push\"; no field of that name",
        ),
    ] {
        let text = error_after(|files| set(files, file, field, value.clone()));
        assert!(text.starts_with("1 mistake(s)"), "{field} {value}: {text}");
        assert!(text.contains(expected), "{field} {value}: {text}");
        // A subject that two streams capture is told of the first of them.
        let of_other = expected.contains("dead.>");
        assert!(of_other || text.contains(&format!("FILES/{file}: ")), "{text}");
    }
}

#[test]
fn a_limit_that_is_left_out_is_no_limit_and_must_be_stated() {
    for (file, field) in [
        ("METRICS/stream.json", "max_bytes"),
        ("METRICS/stream.json", "max_age"),
        ("METRICS/stream.json", "duplicate_window"),
        ("RESPONSES/stream.json", "discard"),
        ("METRICS/rings.consumer.json", "max_deliver"),
        ("METRICS/rings.consumer.json", "ack_wait"),
    ] {
        let text = error_after(|files| remove(files, file, field));
        assert!(text.contains(&format!("FILES/{file}: {field} is missing; state it: ")), "{text}");
    }
}

#[test]
fn files_out_of_place_or_unreadable_are_named() {
    let write = |path: &'static str, text: &'static str| {
        error_after(|files| fs::write(files.join(path), text).unwrap())
    };
    let text = write("METRICS/stream.json", "{\"name\": \"METRICS\",\n}");
    assert!(
        text.contains("FILES/METRICS/stream.json: is not JSON (trailing comma at line 2"),
        "{text}"
    );
    let text = write("METRICS/stream.json", "[]");
    assert!(text.contains("stream.json: is not a JSON object"), "{text}");
    let text = write("METRICS/rings.json", "{}");
    assert!(text.contains("METRICS/rings.json: is neither stream.json nor"), "{text}");
    let text = write("METRICS.json", "{}");
    assert!(text.contains("FILES/METRICS.json: is not in a stream's folder"), "{text}");
    let text = error_after(|files| fs::remove_file(files.join("METRICS/stream.json")).unwrap());
    assert!(text.contains("FILES/METRICS: has no stream.json"), "{text}");
    let text = error_after(|files| fs::remove_dir_all(files).unwrap());
    assert!(text.contains("FILES: cannot be read (No such file"), "{text}");
    let text = error_after(|files| {
        fs::remove_dir_all(files).unwrap();
        fs::create_dir(files).unwrap();
    });
    assert!(text.contains("FILES: holds no stream"), "{text}");
}

#[test]
fn two_consumers_cannot_share_the_messages_of_a_work_queue() {
    let text = error_after(|files| {
        for name in ["a", "b"] {
            let mut consumer: Value = serde_json::from_slice(
                &fs::read(files.join("METRICS/rings.consumer.json")).unwrap(),
            )
            .unwrap();
            consumer["durable_name"] = json!(name);
            let path = files.join(format!("COMMANDS/{name}.consumer.json"));
            fs::write(path, consumer.to_string()).unwrap();
        }
    });
    assert!(
        text.contains("a workqueue stream gives each message to one consumer; b wants"),
        "{text}"
    );
}

#[test]
fn every_mistake_of_every_file_is_told_at_once() {
    let text = error_after(|files| {
        set(files, "METRICS/stream.json", "max_age", json!("1h"));
        set(files, "METRICS/stream.json", "storage", json!("disk"));
        set(files, "RESPONSES/records.consumer.json", "max_deliver", json!(0));
        fs::write(files.join("MONITORING/stream.json"), "").unwrap();
    });
    assert!(text.starts_with("4 mistake(s) in the stream files; nothing was changed"), "{text}");
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn the_setting_for_replicas_replaces_what_the_files_say() {
    let one = load(Path::new(REPOSITORY_FILES), None).unwrap();
    let three = load(Path::new(REPOSITORY_FILES), Some(3)).unwrap();
    assert_ne!(one, three);
    assert_eq!(one, load(Path::new(REPOSITORY_FILES), Some(1)).unwrap());
}
