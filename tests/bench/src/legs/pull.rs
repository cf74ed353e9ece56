//! Leg (b), a floor: pulling and acknowledging by the library alone, with no work between.

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{FromConsumer as _, PullConsumer};
use futures::StreamExt as _;

use super::{Backlog, drain};
use crate::measure::{Leg, Sample, Watch};
use crate::world::{World, plain};

const CONSUMER: &str = "bench-floor";
/// Messages acknowledged one after the other before the next are looked at.
const CHUNK_MESSAGES: usize = 1_000;

pub(crate) async fn measure(
    world: &World,
    backlog: Backlog,
    leg: Leg,
    run: usize,
) -> Result<Sample> {
    let jetstream = jetstream::new(world.plain.clone());
    let stream = jetstream.get_stream(backlog.stream).await?;
    let like: PullConsumer = stream.get_consumer(backlog.consumer).await.map_err(plain)?;
    let config = like.cached_info().config.clone();
    let mut config = Config::try_from_consumer_config(config).map_err(plain)?;
    config.durable_name = Some(CONSUMER.to_owned());
    config.name = None;
    let consumer = stream.create_consumer(config).await?;
    let watch = Watch::start(&world.meter)?;
    take_all(&consumer, backlog.messages).await?;
    world.plain.flush().await?;
    drain::settled(world, Backlog { consumer: CONSUMER, ..backlog }).await?;
    let sample = watch.stop(leg, run, backlog.messages)?;
    stream.delete_consumer(CONSUMER).await?;
    Ok(sample)
}

#[expect(clippy::disallowed_methods, reason = "the floor acknowledges for itself")]
async fn take_all(consumer: &PullConsumer, messages: usize) -> Result<()> {
    let deliveries = consumer.stream().max_messages_per_batch(CHUNK_MESSAGES).messages().await?;
    let mut chunks = deliveries.ready_chunks(CHUNK_MESSAGES);
    let mut taken = 0;
    while taken < messages {
        for delivery in chunks.next().await.context("the consumer's stream ended")? {
            let delivery = delivery?;
            delivery.ack().await.map_err(plain)?;
            taken += 1;
        }
    }
    Ok(())
}
