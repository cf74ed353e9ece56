//! Every device has its consumer, however many devices there are.

use anyhow::Result;
use broker::commands::CommandSender;
use futures::{StreamExt as _, TryStreamExt as _};
use protocol::DeviceId;
use uuid::Uuid;

use crate::world::World;

/// More than the broker allows a stream that does not say how many.
const DEVICES: usize = 1_050;
const IN_FLIGHT: usize = 64;

#[tokio::test]
async fn more_than_a_thousand_devices_have_a_consumer_each() -> Result<()> {
    let world = World::start().await?;
    let sender = CommandSender::new(world.broker("web").await?);
    let tenant = world.tenants[0];
    let made = futures::stream::iter(0..DEVICES)
        .map(|_| sender.ensure_consumer(tenant, DeviceId::new(Uuid::now_v7())))
        .buffer_unordered(IN_FLIGHT);
    made.try_collect::<Vec<()>>().await?;
    let jetstream = async_nats::jetstream::new(world.operator().await?);
    let held = jetstream.get_stream("COMMANDS").await?.cached_info().state.consumer_count;
    assert_eq!(held, DEVICES);
    Ok(())
}
