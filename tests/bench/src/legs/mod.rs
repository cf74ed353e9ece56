//! The legs, and one round of all of them.
//!
//! A leg that drains a stream by a program takes any program that settles a durable consumer, so
//! that others can stand beside our receiver.

mod delay;
mod drain;
mod more;
mod peers;
mod publish;
mod pull;
mod rings;
mod rows;
pub(crate) mod seen;

use anyhow::Result;

use self::drain::Drain;
use crate::measure::{Leg, Sample, Watch};
use crate::settings::{BenchSettings, Group};
use crate::workload::{Fleet, publish_responses};
use crate::world::World;

/// A stream with what drains it.
#[derive(Clone, Copy)]
struct Backlog {
    stream: &'static str,
    consumer: &'static str,
    messages: usize,
}

/// Measures each leg once.
pub(crate) async fn round(world: &World, to: &BenchSettings, run: usize) -> Result<Vec<Sample>> {
    let fleet = Fleet::new(&world.tenants, to.devices)?;
    let mut samples = Vec::new();
    for group in &to.groups {
        rings::empty(world).await?;
        rows::empty(world).await?;
        samples.extend(match group {
            Group::Pipeline => pipeline(world, &fleet, to, run).await?,
            Group::Peers => peers::measure(world, &fleet, run).await?,
            Group::Delay => delay::measure(world, &fleet, run, to.messages).await?,
            Group::Replicas => more::replicas(world, &fleet, run, to.messages).await?,
            Group::Growth => more::growth(world, to, run).await?,
            Group::Seen => seen::measure(world, &fleet, run, to.messages).await?,
            Group::Curves => more::curves(world, &fleet, to, run).await?,
        });
    }
    Ok(samples)
}

async fn pipeline(
    world: &World,
    fleet: &Fleet,
    to: &BenchSettings,
    run: usize,
) -> Result<Vec<Sample>> {
    let mut samples = vec![publish::measure(world, run, to.messages).await?];
    samples.extend(metrics(world, fleet, run, to.messages).await?);
    samples.extend(records(world, fleet, run, to.records()).await?);
    Ok(samples)
}

async fn metrics(world: &World, fleet: &Fleet, run: usize, messages: usize) -> Result<[Sample; 4]> {
    let backlog = Backlog { stream: "METRICS", consumer: "rings", messages };
    let points = fleet.points(messages);
    world.purge(backlog.stream).await?;
    let watch = Watch::start(&world.meter)?;
    fleet.publish_points(&world.operator, &points).await?;
    let filled = watch.stop(Leg::PublishWithinBackend, run, messages)?;
    rings::empty(world).await?;
    let pull = Leg::MetricsPullFloor;
    // Whichever is second finds the stream warmer, so they take turns.
    let (floor, drained) = if run.is_multiple_of(2) {
        let drained = Drain::new(backlog, Leg::MetricsDrain).measure(world, run).await?;
        (pull::measure(world, backlog, pull, run).await?, drained)
    } else {
        let floor = pull::measure(world, backlog, pull, run).await?;
        (floor, Drain::new(backlog, Leg::MetricsDrain).measure(world, run).await?)
    };
    rings::check(world, fleet.rings(messages)).await?;
    rings::empty(world).await?;
    let alone = rings::measure(world, fleet, &points, run).await?;
    rings::check(world, fleet.rings(messages)).await?;
    world.purge(backlog.stream).await?;
    Ok([filled, floor, drained, alone])
}

async fn records(world: &World, fleet: &Fleet, run: usize, messages: usize) -> Result<[Sample; 3]> {
    let backlog = Backlog { stream: "RESPONSES", consumer: "records", messages };
    let responses = fleet.responses(messages);
    world.purge(backlog.stream).await?;
    publish_responses(&world.operator, &responses).await?;
    rows::empty(world).await?;
    let pull = Leg::RecordsPullFloor;
    let (floor, drained) = if run.is_multiple_of(2) {
        let drained = Drain::new(backlog, Leg::RecordsDrain).measure(world, run).await?;
        (pull::measure(world, backlog, pull, run).await?, drained)
    } else {
        let floor = pull::measure(world, backlog, pull, run).await?;
        (floor, Drain::new(backlog, Leg::RecordsDrain).measure(world, run).await?)
    };
    rows::check(world, messages).await?;
    rows::empty(world).await?;
    let alone = rows::measure(world, &responses, run).await?;
    rows::check(world, messages).await?;
    world.purge(backlog.stream).await?;
    Ok([floor, drained, alone])
}
