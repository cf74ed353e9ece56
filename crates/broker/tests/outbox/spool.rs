//! What waits is on disk: an outbox that ends in the middle of it all is taken up by the next.

use std::time::Duration;

use broker::{Bounds, Outbox, SpoolSettings, SpoolStanding};
use protocol::{HeartbeatStatus, Kind, SessionId, UnixMillis};
use runtime::shutdown::CancellationToken;

use crate::stage::{Device, Streams, metric, sender, server, settings, until};

fn spool(dir: &tempfile::TempDir, messages_per_s: u32) -> SpoolSettings {
    SpoolSettings {
        dir: dir.path().join("spool"),
        max_bytes: 16 * 1024 * 1024,
        max_age: Duration::from_secs(3_600),
        messages_per_s,
    }
}

fn outbox(settings: SpoolSettings) -> Outbox {
    Outbox::with_spool(sender(), Bounds::AGENT, settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_runs_without_a_broker_arrive_whole_each_message_once() {
    let mut nats = server();
    Streams::open(nats.url()).await.create().await;
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = Vec::new();
    // The first has the broker for a while; the connection is cut under load.
    let device = Device::deliver(&settings(nats.url()), outbox(spool(&dir, 100_000))).await;
    device.hand_over(Kind::Response, 20);
    let session = device.outbox.session();
    until("some are confirmed", async || device.outbox.figures().response.confirmed > 0).await;
    nats.kill().unwrap();
    device.hand_over(Kind::Response, 30);
    wanted.extend(ids(session, "response", 50));
    device.abort().await;
    for _ in 0..2 {
        let outbox = outbox(spool(&dir, 100_000));
        for _ in 0..40 {
            outbox.hand_over(Kind::Monitoring, UnixMillis::now(), "{}".into()).unwrap();
        }
        wanted.extend(ids(outbox.session(), "monitoring", 40));
    }
    nats.restart().unwrap();
    let device = Device::deliver(&settings(nats.url()), outbox(spool(&dir, 100_000))).await;
    let mut status = HeartbeatStatus::default();
    device.outbox.tell(&mut status);
    assert_eq!(status.earlier_sessions.len(), 3, "{status:?}");
    device.until_empty().await;
    let mut arrived = Streams::open(nats.url()).await.ids("RECORDS").await;
    arrived.sort();
    wanted.sort();
    assert_eq!(arrived, wanted);
    device.outbox.tell(&mut status);
    assert!(status.earlier_sessions.iter().all(|earlier| earlier.spooled.is_zero()), "{status:?}");
    assert_eq!(device.close().await, 0);
}

fn ids(session: SessionId, kind: &str, count: u64) -> Vec<String> {
    (1..=count).map(|number| format!("{session}:{kind}:{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_whose_emptying_ends_again_and_again_is_emptied_once() {
    const WAITING: u64 = 300;
    let nats = server();
    Streams::open(nats.url()).await.create().await;
    let dir = tempfile::tempdir().unwrap();
    let earlier = outbox(spool(&dir, 200));
    for _ in 0..WAITING {
        earlier.hand_over(Kind::Response, UnixMillis::now(), "{}".into()).unwrap();
    }
    let session = earlier.session();
    drop(earlier);
    for _ in 0..4 {
        let device = Device::deliver(&settings(nats.url()), outbox(spool(&dir, 200))).await;
        let some = async || device.outbox.figures().response.recovered >= 30;
        until("some are confirmed", some).await;
        device.abort().await;
    }
    let device = Device::deliver(&settings(nats.url()), outbox(spool(&dir, 200))).await;
    assert!(device.outbox.figures().response.earlier > 0, "the last run has something to do");
    device.until_empty().await;
    let mut arrived = Streams::open(nats.url()).await.ids("RECORDS").await;
    arrived.sort();
    let mut wanted = ids(session, "response", WAITING);
    wanted.sort();
    assert_eq!(arrived, wanted);
    assert_eq!(device.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_goes_before_what_waited_which_goes_at_its_rate() {
    const PER_S: u32 = 50;
    let nats = server();
    Streams::open(nats.url()).await.create().await;
    let dir = tempfile::tempdir().unwrap();
    let earlier = outbox(spool(&dir, PER_S));
    for _ in 0..100 {
        earlier.hand_over(metric(), UnixMillis::now(), "{}".into()).unwrap();
    }
    drop(earlier);
    let started = std::time::Instant::now();
    let device = Device::deliver(&settings(nats.url()), outbox(spool(&dir, PER_S))).await;
    // Before the broker is known to take them, what is beyond memory's window waits on disk too.
    until("the broker is known to be there", async || {
        let mut status = HeartbeatStatus::default();
        device.outbox.tell(&mut status);
        status.connected
    })
    .await;
    device.hand_over(metric(), 1_000);
    let new = async || device.outbox.figures().metric.confirmed == 1_000;
    until("what is new is there", new).await;
    let recovered = device.outbox.figures().metric.recovered;
    assert!(recovered < 100, "the backlog went before what is new: {recovered}");
    device.until_empty().await;
    assert_eq!(device.outbox.figures().metric.recovered, 100);
    let least = Duration::from_secs(100) / PER_S - Duration::from_secs(1);
    assert!(started.elapsed() >= least, "faster than allowed: {:?}", started.elapsed());
    assert_eq!(device.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_is_told_and_taken_once_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let settings = spool(&dir, 100);
    // A file where the folder should be: also root cannot make it.
    std::fs::write(&settings.dir, "in the way").unwrap();
    let outbox = outbox(settings.clone());
    let SpoolStanding::Faulty(reason) = outbox.standing() else { panic!("not told") };
    assert!(reason.contains(settings.dir.to_str().unwrap()), "{reason}");
    outbox.hand_over(Kind::Response, UnixMillis::now(), "{}".into()).unwrap();
    std::fs::remove_file(&settings.dir).unwrap();
    let stop = CancellationToken::new();
    let tended = async {
        until(
            "the folder is used",
            async || matches!(outbox.standing(), SpoolStanding::Well { bytes } if bytes > 0),
        )
        .await;
        stop.cancel();
    };
    tokio::join!(outbox.tend(&stop), tended);
    drop(outbox);
    let next = self::outbox(settings);
    assert_eq!(next.figures().response.earlier, 1, "what waited in memory was written down");
}
