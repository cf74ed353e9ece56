//! The broker is there and does not take what it is given.

use broker::{Bounds, HandOverError};
use devstack::Nats;
use protocol::{Kind, UnixMillis};

use crate::stage::{DEVICE, Device, Streams, metric, server, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_holds_its_kind_only_and_is_named_with_the_remedy() {
    let nats = server();
    let streams = Streams::open(nats.url()).await;
    streams.create_one("METRICS", "demo.system.>").await;
    let device = Device::start(&settings(nats.url()), Bounds::AGENT).await;
    device.hand_over(Kind::Monitoring, 3);
    device.until_trouble("wegweiser streams apply").await;
    device.hand_over(metric(), 100);
    let metrics = async || device.outbox.figures().metric.confirmed == 100;
    crate::stage::until("metrics are not held up", metrics).await;
    assert_eq!(device.outbox.figures().monitoring.depth(), 3);

    streams.create_one("RECORDS", "tenant.>").await;
    device.until_empty().await;
    assert_eq!(streams.count("RECORDS").await, 3);
    assert_eq!(device.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_gets_the_rest_once_there_is_room() {
    let nats = server();
    let streams = Streams::open(nats.url()).await;
    streams.configure("RECORDS", "tenant.>", 5).await;
    let device = Device::start(&settings(nats.url()), Bounds::AGENT).await;
    device.hand_over(Kind::Response, 20);
    device.until_trouble("the stream refuses: maximum messages exceeded").await;
    let figures = device.outbox.figures().response;
    assert_eq!((figures.confirmed, figures.depth()), (5, 15));

    streams.configure("RECORDS", "tenant.>", -1).await;
    device.until_empty().await;
    assert_eq!(streams.count("RECORDS").await, 20);
    assert_eq!(device.outbox.figures().response.confirmed, 20);
    assert_eq!(device.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subject_is_said_in_plain_words() {
    let config = format!(
        "jetstream {{ max_file_store: 64GB }}
         no_auth_user: device
         authorization {{ users = [
             {{ user: device, password: pw, permissions: {{
                 publish: \"demo.system.{DEVICE}.*\", subscribe: \"_INBOX.>\" }} }}
             {{ user: operator, password: pw }} ] }}"
    );
    let nats = Nats::builder().config(config).start().unwrap();
    Streams::open_as(nats.url(), "operator").await.create().await;
    let device = Device::start(&settings(nats.url()), Bounds::AGENT).await;
    device.hand_over(metric(), 10);
    device.until_empty().await;

    device.hand_over(Kind::Heartbeat, 1);
    device.until_trouble("the broker does not permit it").await;
    let error = device.outbox.figures().last_error.unwrap();
    assert!(error.contains("status.heartbeat"), "names the subject: {error}");
    assert!(error.contains("issue them again"), "names the remedy: {error}");
    assert_eq!(device.outbox.figures().heartbeat.depth(), 1);
    device.hand_over(metric(), 10);
    let metrics = async || device.outbox.figures().metric.confirmed == 20;
    crate::stage::until("metrics go on", metrics).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_memory_stays_within_its_bounds() {
    let mut nats = server();
    Streams::open(nats.url()).await.create().await;
    let device = Device::start(&settings(nats.url()), Bounds::AGENT).await;
    nats.kill().unwrap();
    let bound = Bounds::AGENT.metrics.messages as u64;
    device.hand_over(metric(), Bounds::AGENT.metrics.messages + 1_000);
    device.hand_over(Kind::Heartbeat, 100);
    let refused = loop {
        let handed = device.outbox.hand_over(Kind::Response, UnixMillis::now(), "{}".into());
        if let Err(error) = handed {
            break error;
        }
    };
    assert!(matches!(refused, HandOverError::Full { kind: "response", messages: 64, .. }));
    let figures = device.outbox.figures();
    assert_eq!((figures.metric.depth(), figures.metric.dropped.overflow), (bound, 1_000));
    assert_eq!((figures.heartbeat.depth(), figures.heartbeat.dropped.overflow), (4, 96));

    nats.restart().unwrap();
    device.until_empty().await;
    let streams = Streams::open(nats.url()).await;
    assert_eq!(streams.count("METRICS").await, bound);
    assert_eq!(streams.count("RECORDS").await, 4 + 64);
    assert_eq!(device.close().await, 0);
}
