//! Devices that are away: what still counts when they return, and what does not.

use anyhow::Result;
use identity::DeviceRole;

use super::desk::{acknowledge, device, finished, next, row, send, take, tell, until, way};
use super::outbox::web_database;
use crate::world::{World, eventually, sql_client};

#[tokio::test]
async fn commands_wait_for_a_device_in_their_order_until_they_expire() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let _web = world.web(web_database(&world).await?)?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        short.push(send(&world, &device, &["ping", "--expires", "2s"]).await?);
        long.push(send(&world, &device, &["ping", "--expires", "10m"]).await?);
    }
    // Nobody fetches. The short ones go, in the stream and in the records.
    for command in &short {
        let ended = until(&world, *command, "expired").await?;
        assert_eq!(ended.reason_code.as_deref(), Some("expired"));
        assert_eq!(way(&world, *command).await?, ["queued", "expired"]);
    }
    eventually("the stream has the long ones alone", async || {
        Ok((world.messages_in("COMMANDS").await? == 4).then_some(()))
    })
    .await?;
    for command in &long {
        assert_eq!(row(&world, *command).await?.state.as_str(), "queued");
    }
    // It is back.
    let mut given = Vec::new();
    while let Some(command) = next(&world, &device).await? {
        acknowledge(&device, &command).await?;
        tell(&device, command.id(), 0, finished("succeeded")).await?;
        given.push(command.id());
    }
    assert_eq!(given, long, "the unexpired, in their order");
    for command in &long {
        until(&world, *command, "succeeded").await?;
    }
    Ok(())
}

#[tokio::test]
async fn commands_that_ended_by_our_clock_give_way_to_their_device() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let grace = [("WEGWEISER_ISSUING_KEYS", ""), ("WEGWEISER_COMMAND_GRACE_SECONDS", "1")];
    let _web = world.web_with(web_database(&world).await?, &grace)?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    // It took the command, told so, and was cut off.
    let command = send(&world, &device, &["ping", "--timeout", "1s"]).await?;
    take(&world, &device).await?;
    tell(&device, command, 0, super::desk::started()).await?;
    let silent = until(&world, command, "timed_out").await?;
    assert!(silent.assumed, "nobody said so");
    tell(&device, command, 1, finished("succeeded")).await?;
    let ended = until(&world, command, "succeeded").await?;
    assert!(!ended.assumed && ended.reason_code.is_none(), "{ended:?}");
    tell(&device, command, 2, finished("failed")).await?;
    eventually("the last answer is stored", async || {
        let rows = "select count(*) from device_realtime_data";
        Ok((world.count(rows).await? == 3).then_some(()))
    })
    .await?;
    assert_eq!(row(&world, command).await?.state.as_str(), "succeeded", "its first word is final");
    Ok(())
}

#[tokio::test]
async fn commands_whose_publisher_died_before_noting_it_give_way_to_their_device() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let command = send(&world, &device, &["ping", "--expires", "2s"]).await?;
    take(&world, &device).await?;
    // What such a publisher leaves behind: the message is out, and the records do not know it.
    let database = sql_client(&world.database).await?;
    database
        .execute("update commands set published_at = null, stream_sequence = null", &[])
        .await?;
    eventually("its time is over", async || {
        let over = "select count(*) from commands where expires_at < clock_timestamp()";
        Ok((world.count(over).await? == 1).then_some(()))
    })
    .await?;
    let _web = world.web(web_database(&world).await?)?;
    until(&world, command, "expired").await?;
    tell(&device, command, 0, finished("succeeded")).await?;
    until(&world, command, "succeeded").await?;
    Ok(())
}
