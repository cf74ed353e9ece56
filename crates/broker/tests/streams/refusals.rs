//! What would lose data, or cannot be done, is refused before anything is changed.

use std::fs;
use std::time::{Duration, Instant};

use broker::plan::{Effect, Plan};
use broker::streams::{Applied, ApplyError, Destructive};
use serde_json::json;

use crate::stage::{HEARTBEAT, Stage};

const DEADLINE: Duration = Duration::from_secs(20);

fn loses(plan: &Plan) -> Vec<String> {
    let mut texts = Vec::new();
    for change in &plan.changes {
        if let Effect::Destructive { loses } = &change.effect {
            texts.push(format!("{} {}: {loses}", change.object, change.field));
        }
    }
    texts
}

fn refused_as_destructive(outcome: Result<Applied, ApplyError>) -> Vec<String> {
    match outcome {
        Err(ApplyError::Destructive(plan)) => loses(&plan),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_smaller_limit_is_refused_with_the_number_of_messages_until_it_is_allowed() {
    let stage = Stage::applied().await;
    for _ in 0..5 {
        stage.publish(HEARTBEAT, 1_000).await;
    }
    stage.set("HEARTBEATS/stream.json", "max_msgs", json!(2));
    let refused = refused_as_destructive(stage.apply(Destructive::Refuse).await);
    assert_eq!(refused, ["stream HEARTBEATS max_msgs: the oldest 3 of 5 messages"]);
    assert_eq!(stage.messages("HEARTBEATS").await, 5, "a refusal changes nothing");

    stage.apply(Destructive::Allow).await.unwrap();
    assert_eq!(stage.messages("HEARTBEATS").await, 2);
    assert!(stage.plan().await.is_empty());

    stage.set("HEARTBEATS/stream.json", "max_bytes", json!(1_050));
    stage.set("HEARTBEATS/stream.json", "max_msgs_per_subject", json!(1));
    let refused = refused_as_destructive(stage.apply(Destructive::Refuse).await);
    let expected = ["about 1 of 2 messages", "1 messages, the oldest of subjects with more than 1"];
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for text in expected {
        assert!(refused.iter().any(|line| line.contains(text)), "{text}: {refused:?}");
    }
}

#[tokio::test]
async fn a_shorter_age_names_the_messages_that_are_too_old() {
    let stage = Stage::applied().await;
    for _ in 0..3 {
        stage.publish(HEARTBEAT, 10).await;
    }
    let two_seconds = json!(2_000_000_000_u64);
    stage.set("HEARTBEATS/stream.json", "duplicate_window", two_seconds.clone());
    stage.set("HEARTBEATS/stream.json", "max_age", two_seconds);
    let started = Instant::now();
    loop {
        let found = loses(&stage.plan().await);
        assert_eq!(found.len(), 1, "{found:?}");
        if found[0].contains(": 3 of 3 messages, older than the new age") {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "{found:?}");
    }
    stage.publish(HEARTBEAT, 10).await;
    let found = loses(&stage.plan().await);
    assert!(found[0].contains(": 3 of 4 messages, older than the new age"), "{found:?}");
}

#[tokio::test]
async fn a_removed_subject_stream_or_consumer_is_refused_and_says_what_goes() {
    let stage = Stage::applied().await;
    stage.publish(HEARTBEAT, 10).await;
    stage.publish("tenant.t.device.d.status", 10).await;
    stage.publish("dead.METRICS.oversized.t.d", 10).await;
    let left = json!(["tenant.*.device.*.status.heartbeat", "tenant.*.device.*.heartbeat"]);
    stage.set("HEARTBEATS/stream.json", "subjects", left);
    fs::remove_file(stage.file("HEARTBEATS/connectivity.consumer.json")).unwrap();
    fs::remove_dir_all(stage.file("DEAD_LETTERS")).unwrap();

    let refused = refused_as_destructive(stage.apply(Destructive::Refuse).await).join("\n");
    for expected in [
        "stream DEAD_LETTERS : 1 messages",
        "consumer HEARTBEATS/connectivity : its position: 2 messages wait for it",
        "stream HEARTBEATS subjects: new messages on tenant.*.device.*.status that no other subject covers",
        "(1 held ones stay)",
    ] {
        assert!(refused.contains(expected), "{expected}\n{refused}");
    }
    assert_eq!(stage.messages("DEAD_LETTERS").await, 1);

    stage.apply(Destructive::Allow).await.unwrap();
    assert!(stage.plan().await.is_empty());
    assert!(stage.jetstream.get_stream("DEAD_LETTERS").await.is_err());
    let heartbeats = stage.jetstream.get_stream("HEARTBEATS").await.unwrap();
    assert!(heartbeats.consumer_info("connectivity").await.is_err());
}

#[tokio::test]
async fn fewer_copies_dropping_instead_of_refusing_and_narrower_filters_are_destructive() {
    let stage = Stage::applied().await;
    stage.publish("tenant.t.device.d.response", 10).await;
    stage.set("RESPONSES/stream.json", "discard_new_per_subject", json!(false));
    stage.set("RESPONSES/stream.json", "discard", json!("old"));
    let narrow = json!("tenant.t.device.d.response");
    stage.set("RESPONSES/records.consumer.json", "filter_subject", narrow);
    let refused = refused_as_destructive(stage.apply(Destructive::Refuse).await).join("\n");
    assert!(refused.contains("stream RESPONSES discard: the refusal of new messages"), "{refused}");
    assert!(refused.contains("of 1 messages that wait for this consumer"), "{refused}");
}

#[tokio::test]
async fn fixed_fields_are_named_before_anything_else_is_changed() {
    let stage = Stage::applied().await;
    stage.set("METRICS/stream.json", "max_age", json!(7_200_000_000_000_u64));
    stage.set("METRICS/stream.json", "storage", json!("memory"));
    stage.set("COMMANDS/stream.json", "retention", json!("limits"));
    stage.set("COMMANDS/stream.json", "allow_msg_ttl", json!(false));
    stage.set("METRICS/rings.consumer.json", "deliver_policy", json!("new"));
    stage.set("METRICS/rings.consumer.json", "max_waiting", json!(100));
    let Err(ApplyError::Immutable(plan)) = stage.apply(Destructive::Allow).await else {
        panic!("a fixed field was not refused");
    };
    let mut named: Vec<String> =
        plan.immutable().iter().map(|c| format!("{} {}", c.object, c.field)).collect();
    named.sort();
    assert_eq!(
        named,
        [
            "consumer METRICS/rings deliver_policy",
            "consumer METRICS/rings max_waiting",
            "stream COMMANDS allow_msg_ttl",
            "stream COMMANDS retention",
            "stream METRICS storage",
        ]
    );
    assert!(plan.to_string().contains("! cannot be changed: "), "{plan}");
    assert_eq!(stage.config("METRICS").await.max_age, Duration::from_hours(1));
}

#[tokio::test]
async fn two_streams_cannot_exchange_subjects_in_one_apply() {
    let stage = Stage::applied().await;
    stage.set("MONITORING/stream.json", "subjects", json!(["tenant.*.device.*.response"]));
    stage.set("RESPONSES/stream.json", "subjects", json!(["tenant.*.device.*.monitoring"]));
    let Err(ApplyError::Immutable(plan)) = stage.apply(Destructive::Allow).await else {
        panic!("the server takes no such exchange");
    };
    assert!(plan.to_string().contains("leave that subject out in one apply"), "{plan}");
}
