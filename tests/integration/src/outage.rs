//! An outage of a sink is no fault of a message: it waits, costs no attempt, and is not parked.

use std::time::{Duration, Instant};

use anyhow::Result;
use devstack::{Redis, TcpProxy};

use crate::world::{World, eventually, eventually_within, now_ms};

#[tokio::test]
async fn points_wait_in_the_stream_while_redis_is_away_and_records_go_on() -> Result<()> {
    let mut world = World::start().await?;
    let mut redis = Redis::builder().start()?;
    world.redis_port = redis.port();
    let receiver = world.receiver(&[])?;
    let (device, start) = (world.device(0).await?, now_ms());
    device.point("uptime", start, 1.0).await?;
    eventually("the first point", async || {
        Ok((world.ring(device.id, "uptime").await?.len() == 1).then_some(()))
    })
    .await?;

    redis.kill()?;
    for n in 1..=50 {
        device.point("uptime", start + n, 1.0).await?;
    }
    device.publish(&device.subject("monitoring"), "{}").await?;
    receiver.logs("redis is unavailable").await?;
    eventually("the report, though redis is away", async || {
        let sql = "select count(*) from device_realtime_data";
        Ok((world.count(sql).await? == 1).then_some(()))
    })
    .await?;
    let broker = world.broker("receiver").await?;
    let state = broker.consumer_state("METRICS", "rings").await?;
    assert_eq!(state.num_pending + state.num_ack_pending, 50, "all points wait");

    redis.restart()?;
    // The first point was in memory only, and went with the server.
    let waited: Vec<i64> = (1..=50).map(|n| start + n).collect();
    eventually("every point that waited", async || {
        Ok((world.ring(device.id, "uptime").await? == waited).then_some(()))
    })
    .await?;
    eventually("everything settled", async || {
        Ok(broker.consumer_state("METRICS", "rings").await?.is_drained().then_some(()))
    })
    .await?;
    let state = broker.consumer_state("METRICS", "rings").await?;
    assert_eq!(state.num_redelivered, 0, "an outage spends no attempts");
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    Ok(())
}

#[tokio::test]
async fn records_wait_while_postgres_cannot_be_reached_and_points_go_on() -> Result<()> {
    let mut world = World::start().await?;
    let direct = world.database.clone();
    let proxy = TcpProxy::start(direct.port)?;
    world.database = direct.clone().at_port(proxy.port());
    let receiver = world.receiver(&[])?;
    world.database = direct;
    let (device, start) = (world.device(0).await?, now_ms());
    device.publish(&device.subject("monitoring"), r#"{"n":0}"#).await?;
    eventually("the first report", async || {
        let sql = "select count(*) from device_realtime_data";
        Ok((world.count(sql).await? == 1).then_some(()))
    })
    .await?;

    proxy.cut()?;
    for n in 1..=50 {
        device.publish(&device.subject("monitoring"), format!(r#"{{"n":{n}}}"#)).await?;
    }
    device.point("uptime", start, 1.0).await?;
    receiver.logs("postgres is unavailable").await?;
    eventually("the point, though postgres is away", async || {
        Ok((world.ring(device.id, "uptime").await? == [start]).then_some(()))
    })
    .await?;

    proxy.heal()?;
    eventually("every report that waited", async || {
        let sql = "select count(*) from device_realtime_data";
        Ok((world.count(sql).await? == 51).then_some(()))
    })
    .await?;
    let broker = world.broker("receiver").await?;
    let state = eventually("everything settled", async || {
        let state = broker.consumer_state("MONITORING", "records").await?;
        Ok(state.is_drained().then_some(state))
    })
    .await?;
    assert_eq!(state.num_redelivered, 0, "an outage spends no attempts");
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_outage_longer_than_ack_wait_spends_no_attempt() -> Result<()> {
    // The consumer's 30 s, as declared, and some.
    const OUTAGE: Duration = Duration::from_secs(36);
    let mut world = World::start().await?;
    let mut redis = Redis::builder().start()?;
    world.redis_port = redis.port();
    let receiver = world.receiver(&[])?;
    receiver.logs("connected to the broker").await?;
    redis.kill()?;
    let (device, start) = (world.device(0).await?, now_ms());
    for n in 0..50 {
        device.point("uptime", start + n, 1.0).await?;
    }
    receiver.logs("redis is unavailable").await?;
    let broker = world.broker("receiver").await?;
    let outage = Instant::now() + OUTAGE;
    eventually_within(2 * OUTAGE, "the outage is over", async || {
        let state = broker.consumer_state("METRICS", "rings").await?;
        anyhow::ensure!(state.num_redelivered == 0, "delivered again during the outage");
        Ok((Instant::now() > outage).then_some(()))
    })
    .await?;
    redis.restart()?;
    let waited: Vec<i64> = (0..50).map(|n| start + n).collect();
    eventually("every point that waited", async || {
        Ok((world.ring(device.id, "uptime").await? == waited).then_some(()))
    })
    .await?;
    eventually("everything settled at its first delivery", async || {
        let state = broker.consumer_state("METRICS", "rings").await?;
        anyhow::ensure!(state.num_redelivered == 0, "delivered again after the outage");
        Ok(state.is_drained().then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_cut_connection_to_the_broker_asks_for_no_more_than_can_be_held() -> Result<()> {
    const BATCH: u64 = 100;
    let world = World::start().await?;
    let proxy = TcpProxy::start(world.nats.port())?;
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    // Nothing listens on port 1, so that whatever is fetched stays unsettled and can be counted.
    let receiver = world.receiver(&[
        ("NATS_URL", &url),
        ("METRICS_REDIS_PORT", "1"),
        ("WEGWEISER_METRICS_BATCH_MESSAGES", &BATCH.to_string()),
    ])?;
    receiver.logs("part=METRICS 1").await?;
    proxy.cut()?;
    // Long enough for several requests, each of which is given up after four seconds.
    let cut = Instant::now() + Duration::from_secs(13);
    eventually("the cut is over", async || Ok((Instant::now() > cut).then_some(()))).await?;
    let (device, start) = (world.device(0).await?, now_ms());
    for n in 0..2_000 {
        device.point("uptime", start + n, 1.0).await?;
    }
    device.nats.flush().await?;
    proxy.heal()?;
    let broker = world.broker("receiver").await?;
    let state = eventually("the receiver is back and holds something", async || {
        let state = broker.consumer_state("METRICS", "rings").await?;
        Ok((state.num_ack_pending > 0).then_some(state))
    })
    .await?;
    receiver.logs("redis is unavailable").await?;
    let after = broker.consumer_state("METRICS", "rings").await?;
    let most = state.num_ack_pending.max(after.num_ack_pending);
    assert!(most <= 2 * BATCH, "{most} messages are held, of batches of {BATCH}");
    Ok(())
}
