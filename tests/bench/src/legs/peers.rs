//! Legs (p1) and (p2): others on the same work, in the same run. They are in `tests/bench-peers`.
//!
//! They get a smaller backlog than ours does, since a rate is compared and they take long.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::drain::Drain;
use super::{Backlog, rings, rows};
use crate::measure::{Leg, Sample, Watch};
use crate::workload::{Fleet, publish_responses};
use crate::world::World;

/// Messages that a peer works off; a few seconds of its time.
const MESSAGES: usize = 20_000;

const METRICS: Backlog = Backlog { stream: "METRICS", consumer: "rings", messages: MESSAGES };
const RECORDS: Backlog = Backlog { stream: "RESPONSES", consumer: "records", messages: MESSAGES };

pub(crate) async fn measure(world: &World, fleet: &Fleet, run: usize) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (kind, backlog, pulled, core) in [
        ("metrics", METRICS, Leg::PullConsumerMetrics, Leg::FirstGenerationMetrics),
        ("records", RECORDS, Leg::PullConsumerRecords, Leg::FirstGenerationRecords),
    ] {
        world.purge(backlog.stream).await?;
        fill(world, fleet, backlog).await?;
        samples.push(pull(world, kind, backlog, pulled, run).await?);
        check_and_empty(world, fleet, backlog).await?;
        samples.push(first_generation(world, fleet, kind, backlog, core, run).await?);
        check_and_empty(world, fleet, backlog).await?;
        world.purge(backlog.stream).await?;
    }
    Ok(samples)
}

async fn fill(world: &World, fleet: &Fleet, backlog: Backlog) -> Result<()> {
    if backlog.stream == METRICS.stream {
        return fleet.publish_points(&world.operator, &fleet.points(MESSAGES)).await;
    }
    publish_responses(&world.operator, &fleet.responses(MESSAGES)).await
}

async fn check_and_empty(world: &World, fleet: &Fleet, backlog: Backlog) -> Result<()> {
    if backlog.stream == METRICS.stream {
        rings::check(world, fleet.rings(MESSAGES)).await?;
        return rings::empty(world).await;
    }
    rows::check(world, MESSAGES).await?;
    rows::empty(world).await
}

async fn pull(world: &World, kind: &str, backlog: Backlog, leg: Leg, run: usize) -> Result<Sample> {
    let arguments = [kind, backlog.stream, backlog.consumer];
    let peer = world.peer("pull_consumer.py", &arguments)?.spawn()?;
    Drain::new(backlog, leg).watch(world, run, &mut [peer]).await
}

async fn first_generation(
    world: &World,
    fleet: &Fleet,
    kind: &str,
    backlog: Backlog,
    leg: Leg,
    run: usize,
) -> Result<Sample> {
    let messages = MESSAGES.to_string();
    let mut command = world.peer("first_generation_receiver.py", &[kind, &messages])?;
    let mut peer = command.stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(peer.stdout.take().context("its output is piped")?).lines();
    let timed = time_core(world, fleet, backlog, leg, run, (&peer, &mut said)).await;
    // It ends by itself after its last message.
    let ended = peer.wait().await?;
    ensure!(ended.success(), "the first generation's receiver ended with {ended}");
    timed
}

async fn time_core(
    world: &World,
    fleet: &Fleet,
    backlog: Backlog,
    leg: Leg,
    run: usize,
    (peer, said): (&Child, &mut Lines<BufReader<ChildStdout>>),
) -> Result<Sample> {
    let ready = said.next_line().await?;
    ensure!(
        ready.as_deref() == Some("ready"),
        "the peer says {ready:?}; see {:?}",
        world.peer_log()
    );
    let meter = world.meter.with("receiver", peer.id().context("the peer has ended")?);
    let watch = Watch::start(&meter)?;
    fill(world, fleet, backlog).await?;
    let seconds = said.next_line().await?.context("the peer ended early")?;
    let mut sample = watch.stop(leg, run, MESSAGES)?;
    // Its own word, so that our publishing does not count against it.
    sample.seconds = seconds.parse()?;
    Ok(sample)
}
