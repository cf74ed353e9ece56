//! Files and server are brought together, and nothing else is touched.

use std::fs;
use std::time::Duration;

use async_nats::jetstream::{consumer, stream};
use broker::plan::{Effect, Plan};
use broker::streams::{ApplyError, Destructive, Health, apply, status};
use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn what_the_repository_declares_is_created_and_then_in_sync() {
    let stage = Stage::new().await;
    let before = stage.plan().await;
    assert_eq!(before.objects().len(), 8 + 6, "{before}");
    assert!(before.changes.iter().all(|change| change.effect == Effect::Create), "{before}");

    stage.apply(Destructive::Refuse).await.unwrap();
    let after = stage.plan().await;
    assert_eq!(after, Plan::default(), "{after}");
    let again = stage.apply(Destructive::Refuse).await.unwrap();
    assert!(again.plan.is_empty(), "{}", again.plan);

    let stream = stage.jetstream.get_stream("METRICS").await.unwrap();
    let rings = stream.consumer_info("rings").await.unwrap().config;
    assert_eq!(rings.max_ack_pending, 20_000);
    assert_eq!(rings.ack_wait, Duration::from_secs(30));
    let status = status(&stage.broker, &stage.desired()).await.unwrap();
    assert!(status.streams.iter().all(|stream| stream.health == Health::InSync));
}

#[tokio::test]
async fn one_changed_limit_is_exactly_one_line_and_apply_makes_it_so() {
    let stage = Stage::applied().await;
    stage.set("METRICS/stream.json", "max_age", json!(7_200_000_000_000_u64));
    let text = stage.plan().await.to_string();
    assert_eq!(
        text,
        "~ stream METRICS\n    \
         max_age: 1h → 2h (3600000000000 → 7200000000000)\n\
         plan: 0 to create, 1 to change, 0 to remove"
    );
    stage.apply(Destructive::Refuse).await.unwrap();
    assert_eq!(stage.config("METRICS").await.max_age, Duration::from_hours(2));
    assert!(stage.plan().await.is_empty());

    stage.set("METRICS/rings.consumer.json", "max_ack_pending", json!(10_000));
    let plan = stage.plan().await;
    assert_eq!(plan.changes.len(), 1, "{plan}");
    assert_eq!(plan.changes[0].object, "consumer METRICS/rings");
    stage.apply(Destructive::Refuse).await.unwrap();
    assert!(stage.plan().await.is_empty());
}

#[tokio::test]
async fn what_is_not_declared_here_is_reported_and_left_alone() {
    let stage = Stage::applied().await;
    let foreign = stream::Config {
        name: "OTHERS".to_owned(),
        subjects: vec!["others.>".to_owned()],
        ..Default::default()
    };
    stage.jetstream.create_stream(foreign.clone()).await.unwrap();
    let commands = stage.jetstream.get_stream("COMMANDS").await.unwrap();
    let device = consumer::pull::Config {
        durable_name: Some("device".to_owned()),
        filter_subject: "tenant.t.device.d.command".to_owned(),
        ..Default::default()
    };
    commands.create_consumer(device).await.unwrap();

    let plan = stage.plan().await;
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(
        plan.notes,
        [
            "stream OTHERS is not managed by these files: left alone",
            "stream COMMANDS has 1 consumer(s) not managed by these files: left alone",
        ]
    );
    stage.set("METRICS/stream.json", "description", json!("changed"));
    stage.apply(Destructive::Allow).await.unwrap();
    assert_eq!(stage.config("OTHERS").await.subjects, foreign.subjects);
    commands.consumer_info("device").await.unwrap();

    let mut greedy = foreign;
    greedy.name = "GREEDY".to_owned();
    greedy.subjects = vec!["fresh.*".to_owned()];
    stage.jetstream.create_stream(greedy).await.unwrap();
    stage.set("METRICS/stream.json", "subjects", json!(["fresh.>"]));
    let Err(ApplyError::Immutable(plan)) = stage.apply(Destructive::Allow).await else {
        panic!("a subject of a foreign stream was not refused");
    };
    assert!(plan.to_string().contains("stream GREEDY, which is not managed"), "{plan}");
}

#[tokio::test]
async fn the_files_load_unchanged_elsewhere_and_streams_made_so_are_adopted() {
    let stage = Stage::new().await;
    let mut consumers = 0;
    for name in stage.desired().stream_names() {
        let text = fs::read(stage.file(&format!("{name}/stream.json"))).unwrap();
        let config: stream::Config = serde_json::from_slice(&text).unwrap();
        let created = stage.jetstream.create_stream(config).await.unwrap();
        for entry in fs::read_dir(stage.file(name)).unwrap() {
            let path = entry.unwrap().path();
            if !path.to_string_lossy().ends_with(".consumer.json") {
                continue;
            }
            let config: consumer::Config =
                serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            created.create_consumer(config).await.unwrap();
            consumers += 1;
        }
    }
    let plan = stage.plan().await;
    assert!(plan.changes.iter().all(|c| c.field.starts_with("metadata.wegweiser.")), "{plan}");
    assert_eq!(plan.notes.len(), 8 + consumers, "each is said to be adopted: {plan}");
    stage.apply(Destructive::Refuse).await.unwrap();
    assert_eq!(stage.plan().await, Plan::default());
}

/// HEARTBEATS comes before METRICS by name, and can take a subject only after METRICS gave it up.
#[tokio::test]
async fn a_subject_moves_from_one_stream_to_another_in_one_apply() {
    let stage = Stage::applied().await;
    let metrics = json!(["tenant.*.demo.system.*.cpu_percent"]);
    stage.set("METRICS/stream.json", "subjects", metrics);
    let heartbeats = json!(["tenant.*.device.*.status.heartbeat", "tenant.*.demo.system.*.uptime"]);
    stage.set("HEARTBEATS/stream.json", "subjects", heartbeats);
    stage.apply(Destructive::Allow).await.unwrap();
    let captured = stage.config("HEARTBEATS").await.subjects;
    assert!(captured.contains(&"tenant.*.demo.system.*.uptime".to_owned()), "{captured:?}");
}

#[tokio::test]
async fn operators_who_apply_at_once_all_succeed() {
    let stage = Stage::new().await;
    let desired = stage.desired();
    let outcomes = futures::future::join_all(
        (0..4).map(|_| apply(&stage.broker, &desired, Destructive::Refuse)),
    )
    .await;
    for outcome in outcomes {
        outcome.unwrap();
    }
    assert_eq!(stage.plan().await, Plan::default());

    fs::remove_dir_all(stage.file("DEAD_LETTERS")).unwrap();
    stage.set("METRICS/stream.json", "max_msgs", json!(1_000_000));
    let desired = stage.desired();
    let outcomes = futures::future::join_all(
        (0..4).map(|_| apply(&stage.broker, &desired, Destructive::Allow)),
    )
    .await;
    for outcome in outcomes {
        outcome.unwrap();
    }
    assert_eq!(stage.plan().await, Plan::default());
}

#[tokio::test]
async fn an_apply_that_breaks_off_says_what_was_done_and_goes_on_when_run_again() {
    // Room for the streams before METRICS by name, and not for METRICS.
    let stage = Stage::with_config("jetstream { max_file_store: 5GB }").await;
    let broken = stage.apply(Destructive::Refuse).await;
    let Err(ApplyError::Stopped { object, done, source }) = broken else {
        panic!("5 GB cannot hold all streams: {broken:?}");
    };
    assert_eq!(object, "stream METRICS");
    assert!(done.contains(&"consumer HEARTBEATS/connectivity".to_owned()), "{done:?}");
    assert!(source.to_string().contains("storage"), "{source}");

    for stream in ["METRICS", "MONITORING", "RESPONSES"] {
        stage.set(&format!("{stream}/stream.json"), "max_bytes", json!(1_000_000));
    }
    let rest = stage.apply(Destructive::Refuse).await.unwrap().plan;
    assert!(!rest.objects().contains(&"stream HEARTBEATS"), "{rest}");
    assert!(stage.plan().await.is_empty());
}
