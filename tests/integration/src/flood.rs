//! One device that sends without measure fills its own share, and nobody else's.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::world::{Device, World, eventually, repository, scrape};

/// Messages beyond a bound.
const BEYOND: u64 = 200;

/// What a stream's file says that one subject may hold.
fn bound(stream: &str) -> Result<u64> {
    let file = repository().join("nats/streams").join(stream).join("stream.json");
    let file: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    file["max_msgs_per_subject"].as_u64().context("a bound for each subject")
}

#[tokio::test]
async fn poison_of_one_device_fills_its_own_share_of_the_dead_letters() -> Result<()> {
    let world = World::start().await?;
    let receiver = world.receiver(&[])?;
    let (flooding, other) = (world.device(0).await?, world.device(1).await?);
    let bound = bound("DEAD_LETTERS")?;
    for _ in 0..bound + BEYOND {
        flooding.publish(&flooding.subject("monitoring"), "no report").await?;
    }
    flooding.nats.flush().await?;
    other.publish(&other.subject("monitoring"), "no report either").await?;
    other.publish(&other.subject("monitoring"), "{}").await?;

    eventually("the other tenant's report, behind the flood", async || {
        let rows = world.count("select count(*) from device_realtime_data").await?;
        Ok((rows == 1).then_some(()))
    })
    .await?;
    let broker = world.broker("receiver").await?;
    eventually("nothing waits behind the poison", async || {
        Ok(broker.consumer_state("MONITORING", "records").await?.is_drained().then_some(()))
    })
    .await?;
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, bound + 1, "the bound, and the other's");
    assert_eq!(world.messages_in("MONITORING").await?, bound + BEYOND + 2, "the originals");
    let page = scrape(&receiver, "health listening").await?;
    let of = |verdict| {
        page.value(&format!(
            r#"wegweiser_messages_total{{stream="MONITORING",verdict="{verdict}"}}"#
        ))
    };
    let counted = |messages: u64| messages.to_string().parse::<f64>();
    assert_eq!(of("surplus")?, counted(BEYOND)?);
    assert_eq!(of("parked")?, counted(bound + 1)?);
    receiver.logs("not kept as dead letters").await
}

#[tokio::test]
async fn one_device_cannot_fill_a_stream_of_records() -> Result<()> {
    let world = World::start().await?;
    let (flooding, other) = (world.device(0).await?, world.device(1).await?);
    for (stream, tail) in [("MONITORING", "monitoring"), ("RESPONSES", "response")] {
        let bound = bound(stream)?;
        for _ in 0..bound {
            flooding.publish(&flooding.subject(tail), "{}").await?;
        }
        let refused = answer(&flooding, tail).await?;
        let why = refused["error"]["description"].as_str();
        assert_eq!(why, Some("maximum messages per subject exceeded"), "{stream} {refused}");
        let taken = answer(&other, tail).await?;
        assert_eq!((&taken["stream"], &taken["error"]), (&stream.into(), &Value::Null), "{taken}");
        assert_eq!(world.messages_in(stream).await?, bound + 1, "nothing was dropped for it");
    }
    Ok(())
}

/// What the stream says to one more.
async fn answer(device: &Device, tail: &str) -> Result<Value> {
    let answer = device.nats.request(device.subject(tail), "{}".into()).await?;
    Ok(serde_json::from_slice(&answer.payload)?)
}
