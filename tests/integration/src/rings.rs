//! Rings keep the newest points, in the shape that the first web app reads.

use anyhow::Result;
use protocol::{DeviceId, MetricPoint, TenantId, UnixMillis};
use redis::AsyncCommands as _;
use storage::{RingWrite, Rings};
use uuid::Uuid;

use crate::world::{World, eventually, now_ms};

#[tokio::test]
async fn a_ring_keeps_the_newest_points_and_its_life() -> Result<()> {
    let world = World::start().await?;
    let _receiver =
        world.receiver(&[("METRICS_MAX_POINTS", "50"), ("METRICS_TTL_SECONDS", "60")])?;
    let (device, start) = (world.device(0).await?, now_ms());
    for n in 0..500 {
        device.point("cpu_percent", start + n, 0.5).await?;
    }
    let newest: Vec<i64> = (450..500).map(|n| start + n).collect();
    eventually("the newest 50", async || {
        Ok((world.ring(device.id, "cpu_percent").await? == newest).then_some(()))
    })
    .await?;
    let key = world.ring_key(device.id, "cpu_percent");
    let mut redis = world.redis().await?;
    // As the first web app reads it.
    let elements: Vec<String> = redis.lrange(&key, 0, 49).await?;
    assert_eq!(elements.len(), 50);
    let held: u64 = redis.llen(&key).await?;
    assert!(held <= 50 + 50 / 4 + 50 / 8, "{held}");
    for (element, at) in elements.iter().zip(newest.iter().rev()) {
        let element: serde_json::Value = serde_json::from_str(element)?;
        assert_eq!((&element["timestamp"], &element["value"]), (&(*at).into(), &0.5.into()));
    }
    let ttl: i64 = redis.ttl(&key).await?;
    assert!((1..=66).contains(&ttl), "{ttl}");
    Ok(())
}

#[tokio::test]
async fn points_that_waited_for_a_receiver_are_all_there_once() -> Result<()> {
    let world = World::start().await?;
    let (device, start) = (world.device(0).await?, now_ms());
    let mut receivers = [world.receiver(&[])?, world.receiver(&[])?];
    device.point("uptime", start, 0.0).await?;
    eventually("the first point", async || {
        Ok((world.ring(device.id, "uptime").await?.len() == 1).then_some(()))
    })
    .await?;
    for receiver in &mut receivers {
        receiver.stop().await?;
    }
    for n in 1..=200 {
        device.point("uptime", start + n, 1.0).await?;
    }
    device.nats.flush().await?;
    let _receiver = world.receiver(&[])?;
    let all: Vec<i64> = (0..=200).map(|n| start + n).collect();
    eventually("every point once", async || {
        Ok((world.ring(device.id, "uptime").await? == all).then_some(()))
    })
    .await?;
    let elements: u64 = world.redis().await?.llen(world.ring_key(device.id, "uptime")).await?;
    assert_eq!(elements, 201);
    Ok(())
}

#[tokio::test]
async fn late_points_take_their_place_in_time_and_push_out_nothing_newer() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[("METRICS_MAX_POINTS", "10")])?;
    let (device, start) = (world.device(0).await?, now_ms());
    for n in 0..8 {
        device.point("uptime", start + n, 1.0).await?;
    }
    eventually("the live points", async || {
        Ok((world.ring(device.id, "uptime").await?.len() == 8).then_some(()))
    })
    .await?;
    // Five minutes old, as from an agent that was cut off; one of them is sent twice.
    let late = start - 300_000;
    for n in [3, 1, 2, 3] {
        device.point("uptime", late + n, 1.0).await?;
    }
    let mut expected = vec![late + 2, late + 3];
    expected.extend((0..8).map(|n| start + n));
    eventually("the newest ten in order", async || {
        Ok((world.ring(device.id, "uptime").await? == expected).then_some(()))
    })
    .await?;
    let elements: u64 = world.redis().await?.llen(world.ring_key(device.id, "uptime")).await?;
    assert_eq!(elements, 10);
    Ok(())
}

async fn write(rings: &Rings, device: DeviceId, at: i64) -> Result<()> {
    let at = UnixMillis::new(at);
    let (tenant, metric) = (TenantId::new(Uuid::now_v7()), "uptime".parse()?);
    let point = MetricPoint { tenant, device, metric, at, value: 1.0 };
    let write = RingWrite { point: &point, number: None, received: at, repeated: false };
    for written in rings.write(&[write]).await? {
        let _ = written.map_err(|reject| anyhow::anyhow!("{reject:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_list_stays_bounded_and_one_that_was_lost_has_a_life_again() -> Result<()> {
    let world = World::start().await?;
    let (rings, mut redis) = (world.rings()?, world.redis().await?);
    let (device, start) = (DeviceId::new(Uuid::now_v7()), now_ms());
    let key = world.ring_key(device, "uptime");
    let mut longest = 0;
    for n in 0..1000 {
        write(&rings, device, start + n).await?;
        longest = redis.llen::<_, u64>(&key).await?.max(longest);
    }
    assert!((300..=300 + 300 / 4 + 300 / 8).contains(&longest), "{longest}");
    let newest: Vec<i64> = (700..1000).map(|n| start + n).collect();
    assert_eq!(world.ring(device, "uptime").await?, newest);

    // As when Redis comes back empty: the writer believes that it has just renewed the life.
    let _: u64 = redis.del(&key).await?;
    write(&rings, device, start + 1000).await?;
    let ttl: i64 = redis.ttl(&key).await?;
    assert!((900..=990).contains(&ttl), "{ttl}");
    Ok(())
}
