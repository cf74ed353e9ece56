//! Streams as code against a real server: the difference shown, what is refused, what is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer, stream};
use broker::plan::{Effect, Plan};
use broker::streams::{
    Applied, ApplyError, Desired, Destructive, Health, apply, load, plan, status,
};
use broker::{Broker, BrokerSettings};
use devstack::Nats;
use serde_json::{Value, json};

const REPOSITORY_FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nats/streams");
const HEARTBEAT: &str = "tenant.t.device.d.status.heartbeat";
const DEADLINE: Duration = Duration::from_secs(20);

/// A server of its own and a private copy of the repository's files.
struct Stage {
    broker: Broker,
    jetstream: jetstream::Context,
    files: tempfile::TempDir,
    _nats: Nats,
}

impl Stage {
    async fn new() -> Self {
        Self::with_config("jetstream {}").await
    }

    async fn with_config(config: &str) -> Self {
        let nats = Nats::builder().config(config).start().unwrap();
        let settings = BrokerSettings {
            url: nats.url().to_owned(),
            creds: None,
            ca: None,
            name: "streams test".to_owned(),
        };
        let broker = Broker::connect(&settings).await.unwrap();
        let client = async_nats::connect(nats.url()).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        copy(Path::new(REPOSITORY_FILES), files.path());
        Self { broker, jetstream: jetstream::new(client), files, _nats: nats }
    }

    async fn applied() -> Self {
        let stage = Self::new().await;
        stage.apply(Destructive::Refuse).await.unwrap();
        stage
    }

    fn file(&self, path: &str) -> PathBuf {
        self.files.path().join(path)
    }

    fn desired(&self) -> Desired {
        load(self.files.path(), None).unwrap()
    }

    fn set(&self, path: &str, field: &str, value: Value) {
        let path = self.file(path);
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config[field] = value;
        fs::write(&path, config.to_string()).unwrap();
    }

    async fn plan(&self) -> Plan {
        plan(&self.broker, &self.desired()).await.unwrap()
    }

    async fn apply(&self, destructive: Destructive) -> Result<Applied, ApplyError> {
        apply(&self.broker, &self.desired(), destructive).await
    }

    async fn publish(&self, subject: &str, payload: usize) {
        let ack = self.jetstream.publish(subject.to_owned(), vec![b'x'; payload].into()).await;
        ack.unwrap().await.unwrap();
    }

    async fn messages(&self, stream: &str) -> u64 {
        self.jetstream.get_stream(stream).await.unwrap().get_info().await.unwrap().state.messages
    }

    async fn config(&self, stream: &str) -> stream::Config {
        self.jetstream.get_stream(stream).await.unwrap().get_info().await.unwrap().config
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

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
async fn what_the_repository_declares_is_created_and_then_in_sync() {
    let stage = Stage::new().await;
    let before = stage.plan().await;
    assert_eq!(before.objects().len(), 7 + 5, "{before}");
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
    let shortest = json!(100_000_000_u64);
    stage.set("HEARTBEATS/stream.json", "duplicate_window", shortest.clone());
    stage.set("HEARTBEATS/stream.json", "max_age", shortest);
    let started = Instant::now();
    loop {
        let found = loses(&stage.plan().await);
        assert_eq!(found.len(), 1, "{found:?}");
        if found[0].contains(": 3 of 3 messages, older than the new age") {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "{found:?}");
    }
    stage.set("HEARTBEATS/stream.json", "max_age", json!(3_600_000_000_000_u64));
    let found = loses(&stage.plan().await);
    assert!(found[0].contains(": 0 of 3 messages"), "{found:?}");
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
    stage.set("RESPONSES/stream.json", "max_consumers", json!(3));
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
            "stream RESPONSES max_consumers",
        ]
    );
    assert!(plan.to_string().contains("! cannot be changed: "), "{plan}");
    assert_eq!(stage.config("METRICS").await.max_age, Duration::from_hours(1));
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

/// Made with the files as they stand by the client library's own types, a stream is adopted, and
/// differs in nothing but our marks.
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
    assert_eq!(plan.notes.len(), 7 + consumers, "each is said to be adopted: {plan}");
    stage.apply(Destructive::Refuse).await.unwrap();
    assert_eq!(stage.plan().await, Plan::default());
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
