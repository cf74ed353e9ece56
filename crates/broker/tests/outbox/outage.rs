//! The broker goes away and comes back.

use broker::{Bounds, Outbox};
use protocol::{Kind, UnixMillis};

use crate::stage::{Device, Streams, metric, sender, server, settings, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_again_and_again_costs_and_doubles_nothing() {
    let mut nats = server();
    Streams::open(nats.url()).await.create().await;
    let device = Device::start(&settings(nats.url()), Bounds::AGENT).await;
    for _ in 0..5 {
        let confirmed = device.outbox.figures().metric.confirmed;
        device.hand_over(metric(), 2_000);
        device.hand_over(Kind::Response, 10);
        // Amid delivery: some are confirmed, some under way, some wait.
        let some = async || device.outbox.figures().metric.confirmed > confirmed;
        until("some are confirmed", some).await;
        nats.kill().unwrap();
        device.hand_over(metric(), 100);
        device.hand_over(Kind::Response, 10);
        nats.restart().unwrap();
        device.until_empty().await;
    }
    let figures = device.outbox.figures();
    assert_eq!((figures.metric.confirmed, figures.response.confirmed), (10_500, 100));
    assert_eq!(figures.metric.dropped.total(), 0);
    assert!(figures.metric.retried > 0, "a kill must have met messages under way");

    let streams = Streams::open(nats.url()).await;
    for (stream, handed) in [("METRICS", 10_500), ("RECORDS", 100)] {
        let mut ids = streams.ids(stream).await;
        assert_eq!(ids.len(), handed, "{stream} holds each once");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), handed, "{stream} holds each");
    }
    assert_eq!(device.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_gets_everything_once_when_it_goes_on() {
    let nats = server();
    let streams = Streams::open(nats.url()).await;
    streams.create().await;
    let device = Device::start(&settings(nats.url()), Bounds::AGENT).await;
    nats.pause().unwrap();
    device.hand_over(metric(), 500);
    // Long enough for answers to be overdue, with the connection still open.
    device.until_trouble("did not answer").await;
    nats.resume().unwrap();
    device.until_empty().await;

    let streams = Streams::open(nats.url()).await;
    assert_eq!(streams.count("METRICS").await, 500);
    let figures = device.outbox.figures().metric;
    assert_eq!(figures.confirmed, 500);
    assert!(figures.retried > 0, "the frozen server must have been met: {figures:?}");
    assert_eq!(device.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_arrive_in_order_and_metrics_do_not_hold_up_the_rest() {
    let nats = server();
    let streams = Streams::open(nats.url()).await;
    streams.create().await;
    let outbox =
        Outbox::new(sender(), Bounds { heartbeats: Bounds::AGENT.responses, ..Bounds::AGENT });
    for _ in 0..50 {
        outbox.hand_over(metric(), UnixMillis::now(), "{}".into()).unwrap();
        outbox.hand_over(Kind::Heartbeat, UnixMillis::now(), "{}".into()).unwrap();
    }
    let device = Device::deliver(&settings(nats.url()), outbox).await;
    device.until_empty().await;
    let wanted: Vec<u64> = (1..=50).collect();
    for stream in ["METRICS", "RECORDS"] {
        let ids = streams.ids(stream).await;
        let numbers: Vec<u64> =
            ids.iter().map(|id| id.rsplit(':').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, wanted, "{stream}");
    }
    assert_eq!(device.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_flushes_what_is_there_and_tells_what_is_left() {
    let mut nats = server();
    let streams = Streams::open(nats.url()).await;
    streams.create().await;
    let device = Device::start(&settings(nats.url()), Bounds::AGENT).await;
    device.hand_over(metric(), 1_000);
    assert_eq!(device.close().await, 0);
    assert_eq!(streams.count("METRICS").await, 1_000);

    let device = Device::start(&settings(nats.url()), Bounds::AGENT).await;
    nats.kill().unwrap();
    device.hand_over(Kind::Response, 7);
    let outbox = device.outbox.clone();
    assert_eq!(device.close().await, 7);
    // They stay, for whoever delivers next.
    nats.restart().unwrap();
    let device = Device::deliver(&settings(nats.url()), outbox).await;
    device.until_empty().await;
    let streams = Streams::open(nats.url()).await;
    assert_eq!(streams.count("RECORDS").await, 7);
    assert_eq!(device.close().await, 0);
}
