//! Between the row and the stream: kills and outages lose no command and double none.

use anyhow::Result;
use devstack::DatabaseAddress;
use identity::{CommandSigner, DeviceRole};
use protocol::command::NoArguments;
use protocol::{CommandId, Order};
use secrecy::SecretString;
use storage::{CommandTarget, ProgramRole, WantedOrder};
use uuid::Uuid;

use super::desk::{acknowledge, device, next};
use crate::world::{Device, World, eventually};

/// A sign-in of the web service's role.
pub(crate) async fn web_database(world: &World) -> Result<DatabaseAddress> {
    let name = format!("web_{}", Uuid::now_v7().simple());
    let password = SecretString::from("story");
    world.records()?.set_sign_in(&name, ProgramRole::Web, &password).await?;
    Ok(DatabaseAddress { user: name, password, ..world.database.clone() })
}

/// Orders as any program does, without publishing.
async fn order(world: &World, device: &Device, count: usize) -> Result<Vec<CommandId>> {
    let signer = CommandSigner::with_keys(world.command_secrets()?)?;
    let wanted = WantedOrder {
        order: Order::Ping(NoArguments {}),
        timeout: None,
        life: std::time::Duration::from_secs(600),
        requester: "story".to_owned(),
    };
    let target = CommandTarget {
        tenant: device.tenant,
        device: device.id,
        first_generation: false,
        first_generation_allowed: false,
        may_connect: true,
        online: false,
    };
    let mut commands = Vec::new();
    for _ in 0..count {
        commands.push(wanted.prepare(&target, &signer)?);
    }
    world.records()?.order_commands(Uuid::now_v7(), "story", &commands).await?;
    Ok(commands.iter().map(|one| one.command).collect())
}

async fn unpublished(world: &World) -> Result<i64> {
    world.count("select count(*) from commands where published_at is null").await
}

/// Every command that waits for a device, acknowledged.
async fn all(world: &World, device: &Device) -> Result<Vec<CommandId>> {
    let mut all = Vec::new();
    while let Some(given) = next(world, device).await? {
        acknowledge(device, &given).await?;
        all.push(given.id());
    }
    Ok(all)
}

#[tokio::test]
async fn commands_reach_their_stream_once_and_in_order_whoever_is_killed() -> Result<()> {
    const ROUNDS: usize = 12;
    const IN_A_ROUND: usize = 25;
    let world = World::start().await?;
    let devices = [
        device(&world, 0, DeviceRole::Current).await?,
        device(&world, 0, DeviceRole::Current).await?,
        device(&world, 1, DeviceRole::Current).await?,
    ];
    let database = web_database(&world).await?;
    let mut publishers = [world.web(database.clone())?, world.web(database.clone())?];
    let mut ordered = vec![Vec::new(); devices.len()];
    for round in 0..ROUNDS {
        for (device, ordered) in devices.iter().zip(&mut ordered) {
            ordered.extend(order(&world, device, IN_A_ROUND).await?);
        }
        // While some are published, others are not, and some are and are not marked.
        eventually("some of it is on its way", async || {
            let marked =
                world.count("select count(*) from commands where published_at is not null");
            Ok((marked.await? > i64::try_from(round * IN_A_ROUND)?).then_some(()))
        })
        .await?;
        let index = round % publishers.len();
        publishers[index].kill()?;
        publishers[index] = world.web(database.clone())?;
    }
    eventually("the outbox is empty", async || Ok((unpublished(&world).await? == 0).then_some(())))
        .await?;
    for (device, ordered) in devices.iter().zip(&ordered) {
        assert_eq!(&all(&world, device).await?, ordered, "each once, in its order");
    }
    Ok(())
}

#[tokio::test]
async fn commands_that_were_published_and_not_marked_are_not_doubled() -> Result<()> {
    let world = World::start().await?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let ordered = order(&world, &device, 3).await?;
    let database = web_database(&world).await?;
    let mut web = world.web(database.clone())?;
    eventually("published", async || Ok((unpublished(&world).await? == 0).then_some(()))).await?;
    web.kill()?;
    // As if it had been killed before it could mark them.
    let client = crate::world::sql_client(&world.database).await?;
    client.batch_execute("update commands set published_at = null, stream_sequence = null").await?;
    let _web = world.web(database)?;
    eventually("published again", async || Ok((unpublished(&world).await? == 0).then_some(())))
        .await?;
    assert_eq!(all(&world, &device).await?, ordered);
    let places = "select count(distinct stream_sequence) from commands";
    assert_eq!(world.count(places).await?, 3, "each has its own place in the stream");
    Ok(())
}
