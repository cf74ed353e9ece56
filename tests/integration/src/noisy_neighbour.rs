//! One tenant sends far more than the others: nobody starves, and nothing is lost or parked.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use redis::AsyncCommands as _;

use crate::world::{Device, World, eventually, eventually_within, now_ms, scrape};

/// Rings of the noisy device.
const RINGS: i64 = 500;
/// Its points, five minutes old as from a spool that drains: the dearest to write.
const NOISE: i64 = 60_000;
const NOISE_AGE_MS: i64 = 300_000;
/// Its points between two looks at how many wait.
const BURST: i64 = 4_000;
/// Noise stops while so many wait: what a debug build sets aside in about a second.
const WAITING_MAX: u64 = 10_000;
/// Points of the quiet tenant before and during the noise, one after the other.
const PROBES: usize = 100;
/// What a debug build on a busy machine may take for a point behind no more than that. The figures
/// of a release build are in docs/scaling.md.
const DELAY_MOST: Duration = Duration::from_secs(10);

#[tokio::test]
async fn one_tenants_flood_delays_no_other_and_is_written_wholly() -> Result<()> {
    let world = World::start().await?;
    let receiver = world.receiver(&[])?;
    let (noisy, quiet) = (world.device(0).await?, world.device(1).await?);
    let before = delays(&world, &quiet, "before").await?;
    let oldest = now_ms() - NOISE_AGE_MS;
    let (during, noise) =
        tokio::join!(delays(&world, &quiet, "during"), flood(&world, &noisy, oldest));
    noise?;
    let (before, during) = (p99(before), p99(during?));
    println!("p99 of the quiet tenant: {before:?} before, {during:?} during the flood");
    ensure!(during < before + DELAY_MOST, "{during:?} during the flood, {before:?} before");

    let broker = world.broker("receiver").await?;
    eventually_within(Duration::from_secs(120), "everything is written", async || {
        let points = broker.consumer_state("METRICS", "rings").await?;
        let deferred = broker.consumer_state("METRICS_DEFERRED", "rings").await?;
        Ok((points.is_drained() && deferred.is_drained()).then_some(()))
    })
    .await?;
    for ring in 0..RINGS {
        let newest: Vec<i64> = (0..NOISE).filter(|n| n % RINGS == ring).rev().take(300).collect();
        let expected: Vec<i64> = newest.iter().rev().map(|n| oldest + n).collect();
        ensure!(world.ring(noisy.id, &format!("m{ring}")).await? == expected, "ring {ring}");
    }
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    let page = scrape(&receiver, "health listening").await?;
    let deferred =
        page.value(r#"wegweiser_messages_total{stream="METRICS",verdict="deferred"}"#)?;
    ensure!(deferred > 10_000.0, "{deferred} points were put off, so this was no flood");
    let later = page.value(r#"wegweiser_writes_total{sink="redis",stream="METRICS_DEFERRED"}"#)?;
    ensure!(later == deferred, "{deferred} points were put off, and {later} written later");
    Ok(())
}

/// Publishes the noise as fast as the broker takes it.
async fn flood(world: &World, noisy: &Device, oldest: i64) -> Result<()> {
    let broker = world.broker("receiver").await?;
    for burst in 0..NOISE / BURST {
        for n in burst * BURST..(burst + 1) * BURST {
            noisy.point(&format!("m{}", n % RINGS), oldest + n, 1.0).await?;
        }
        noisy.nats.flush().await?;
        eventually_within(Duration::from_secs(120), "room for more noise", async || {
            let state = broker.consumer_state("METRICS", "rings").await?;
            Ok((state.num_pending < WAITING_MAX).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// From publishing a point until it can be read, one after the other.
async fn delays(world: &World, quiet: &Device, metric: &str) -> Result<Vec<Duration>> {
    let key = world.ring_key(quiet.id, metric);
    let mut redis = world.redis().await?;
    let mut delays = Vec::new();
    for n in 0..PROBES {
        let (at, published) = (now_ms(), Instant::now());
        quiet.point(metric, at, f64::from(u32::try_from(n)?)).await?;
        let wanted = format!(r#"{{"timestamp":{at},"value":{n}}}"#);
        eventually("the quiet tenant's point", async || {
            let newest: Option<String> = redis.lindex(&key, 0).await?;
            Ok((newest.as_ref() == Some(&wanted)).then_some(()))
        })
        .await?;
        delays.push(published.elapsed());
    }
    Ok(delays)
}

fn p99(mut delays: Vec<Duration>) -> Duration {
    delays.sort_unstable();
    delays.get(delays.len() * 99 / 100).copied().unwrap_or_default()
}
