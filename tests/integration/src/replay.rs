//! Once in effect, whatever way a message comes again.

use anyhow::{Context as _, Result};
use async_nats::jetstream::message::PublishMessage;
use broker::dead_letters::{LetterFilter, Sent};
use protocol::{DeadLetter, Reject};

use crate::world::{World, eventually};

#[tokio::test]
async fn an_original_that_comes_again_beside_its_replay_has_its_effect_once() -> Result<()> {
    let world = World::start().await?;
    let device = world.device(0).await?;
    device.publish(&device.subject("monitoring"), r#"{"monitoring_type":"disk"}"#).await?;
    let operator = world.broker("operator").await?;
    let original = eventually("the original in its stream", async || {
        Ok(operator.stored_message("MONITORING", 1).await?)
    })
    .await?;
    // Parked by a receiver that died before it could say so: the stream delivers it again.
    let letter = DeadLetter {
        stream: "MONITORING",
        sequence: 1,
        subject: &original.subject,
        message_id: None,
        reject: &Reject::RowRejected("of another time".into()),
        attempts: 1,
        first_seen: original.published,
        tombstone: false,
    };
    let _ = operator.park(&letter, original.payload.clone()).await?;
    let letters = operator.dead_letters(&LetterFilter::default(), 1).await?.letters;
    let letter = letters.first().context("the letter")?;
    let sent = operator.send_again(letter).await?.outcome().await?;
    assert_eq!(sent, Sent::Taken { stream: "MONITORING".to_owned(), sequence: 2 });

    let _receiver = world.receiver(&[])?;
    eventually("both settled", async || {
        let state = operator.consumer_state("MONITORING", "records").await?;
        Ok(state.is_drained().then_some(()))
    })
    .await?;
    assert_eq!(world.count("select count(*) from device_realtime_data").await?, 1);
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 1, "nothing was parked on the way");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_sends_again_long_after_the_duplicate_window_is_recorded_once() -> Result<()>
{
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(0).await?;
    let jetstream = async_nats::jetstream::new(device.nats.clone());
    let operator = async_nats::jetstream::new(world.operator().await?);
    // The window as an hour later finds it: the stream has forgotten the id.
    let mut config = operator.get_stream("RESPONSES").await?.cached_info().config.clone();
    config.duplicate_window = std::time::Duration::from_millis(100);
    operator.update_stream(config).await?;
    let send = async || -> Result<u64> {
        let body = r#"{"command_id":"c-1","status":"success"}"#;
        let message = PublishMessage::build().message_id("s:response:1").payload(body.into());
        Ok(jetstream.send_publish(device.subject("response"), message).await?.await?.sequence)
    };
    assert_eq!(send().await?, 1);
    eventually("taken once more", async || Ok((send().await? > 1).then_some(()))).await?;
    let operator = world.broker("operator").await?;
    eventually("all settled", async || {
        let state = operator.consumer_state("RESPONSES", "records").await?;
        Ok(state.is_drained().then_some(()))
    })
    .await?;
    assert_eq!(world.count("select count(*) from device_realtime_data").await?, 1);
    Ok(())
}
