//! What the declared streams keep, and for how long: the reasons for their settings.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::context::PublishErrorKind;
use futures::StreamExt as _;
use serde_json::json;

use crate::stage::Stage;

/// As the servers of a deployment are configured: parking a large message needs it.
const SERVER: &str = "jetstream { max_file_store: 64GB }\nmax_payload: 2MB\n";
const COMMAND: &str = "tenant.t.device.d.command";
const WAIT: Duration = Duration::from_secs(10);

fn of_device() -> pull::Config {
    pull::Config {
        durable_name: Some("d".to_owned()),
        filter_subject: COMMAND.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_largest_message_that_a_stream_takes_fits_the_dead_letters_with_its_headers() {
    let stage = Stage::applied_to(SERVER).await;
    for (stream, subject) in [
        ("METRICS", "tenant.t.demo.system.d.cpu_percent"),
        ("HEARTBEATS", "tenant.t.device.d.heartbeat"),
        ("MONITORING", "tenant.t.device.d.monitoring"),
        ("RESPONSES", "tenant.t.device.d.response"),
    ] {
        let largest = usize::try_from(stage.config(stream).await.max_message_size).unwrap();
        assert!(largest > 1024 * 1024, "a metric of 1 MiB reaches {stream}, to be parked");
        stage.publish(subject, largest).await;
        let mut headers = HeaderMap::new();
        headers.insert("Wegweiser-Detail", "x".repeat(32 * 1024).as_str());
        let parking = format!("dead.{stream}.oversized.t.d");
        let parked =
            stage.jetstream.publish_with_headers(parking, headers, vec![b'x'; largest].into());
        parked.await.unwrap().await.unwrap();
        let too_large = vec![b'x'; largest + 1].into();
        let refused = stage.jetstream.publish(subject, too_large).await.unwrap().await;
        assert!(refused.is_err(), "{stream} says no to what could not be parked");
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "stands for the device, which settles its commands")]
async fn a_command_waits_for_its_device_and_goes_when_acknowledged() {
    let stage = Stage::applied().await;
    stage.publish(COMMAND, 10).await;
    let stream = stage.jetstream.get_stream("COMMANDS").await.unwrap();
    let consumer = stream.create_consumer(of_device()).await.unwrap();
    let mut batch = consumer.batch().max_messages(1).expires(WAIT).messages().await.unwrap();
    let message = batch.next().await.unwrap().unwrap();
    assert_eq!(stage.messages("COMMANDS").await, 1, "kept until acknowledged");
    message.double_ack().await.unwrap();
    assert_eq!(stage.messages("COMMANDS").await, 0, "gone for good: it cannot run twice");

    // Enrolled again, the device is not given what it has already done.
    stream.delete_consumer("d").await.unwrap();
    let anew = stream.create_consumer(of_device()).await.unwrap();
    assert_eq!(anew.cached_info().num_pending, 0);
}

#[tokio::test]
async fn a_device_that_never_fetches_fills_its_own_share_only() {
    let stage = Stage::new().await;
    stage.set("COMMANDS/stream.json", "max_msgs_per_subject", json!(3));
    stage.apply(broker::streams::Destructive::Refuse).await.unwrap();
    for _ in 0..3 {
        stage.publish(COMMAND, 10).await;
    }
    let refused = stage.jetstream.publish(COMMAND, "one more".into()).await.unwrap().await;
    assert_eq!(refused.unwrap_err().kind(), PublishErrorKind::Other, "the sender is told");
    assert_eq!(stage.messages("COMMANDS").await, 3, "nothing was dropped for it");
    stage.publish("tenant.t.device.other.command", 10).await;
}

#[tokio::test]
async fn a_full_stream_of_records_refuses_the_new_and_drops_nothing() {
    let stage = Stage::new().await;
    stage.set("RESPONSES/stream.json", "max_bytes", json!(10_000));
    stage.apply(broker::streams::Destructive::Refuse).await.unwrap();
    let response = "tenant.t.device.d.response";
    for _ in 0..9 {
        stage.publish(response, 1_000).await;
    }
    let refused = stage.jetstream.publish(response, vec![0; 1_000].into()).await.unwrap().await;
    assert!(refused.is_err(), "an agent that gets an error spools");
    assert_eq!(stage.messages("RESPONSES").await, 9);
}

#[tokio::test]
async fn a_message_whose_deliveries_are_used_up_is_known_though_no_receiver_is_left() {
    let stage = Stage::new().await;
    let connectivity = "HEARTBEATS/connectivity.consumer.json";
    stage.set(connectivity, "max_deliver", json!(1));
    stage.set(connectivity, "ack_wait", json!(1_000_000_000));
    stage.apply(broker::streams::Destructive::Refuse).await.unwrap();
    stage.publish(crate::stage::HEARTBEAT, 10).await;
    let stream = stage.jetstream.get_stream("HEARTBEATS").await.unwrap();
    let consumer = stream.get_consumer::<pull::Config>("connectivity").await.unwrap();
    let mut batch = consumer.batch().max_messages(1).expires(WAIT).messages().await.unwrap();
    drop(batch.next().await.unwrap().unwrap());

    let advisories = stage.jetstream.get_stream("ADVISORIES").await.unwrap();
    let parker = advisories.get_consumer::<pull::Config>("crash-poison").await.unwrap();
    let mut batch = parker.batch().max_messages(1).expires(WAIT).messages().await.unwrap();
    let advisory = batch.next().await.expect("an advisory within the deadline").unwrap();
    let advisory: serde_json::Value = serde_json::from_slice(&advisory.payload).unwrap();
    assert_eq!(advisory["stream"], "HEARTBEATS");
    assert_eq!(advisory["stream_seq"], 1);
}
