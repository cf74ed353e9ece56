//! Legs (h), (j) and (k): drains with other numbers of replicas, devices and messages, and with other
//! settings than the defaults.

use anyhow::Result;

use super::drain::Drain;
use super::{Backlog, rings, rows};
use crate::measure::{Leg, Sample};
use crate::settings::BenchSettings;
use crate::workload::{Fleet, publish_responses};
use crate::world::World;

const REPLICAS: [usize; 3] = [1, 2, 4];
const DEVICES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const BACKLOGS: [usize; 3] = [100_000, 1_000_000, 5_000_000];

const METRICS_BATCH: (&str, &[&str]) =
    ("WEGWEISER_METRICS_BATCH_MESSAGES", &["100", "250", "500", "1000", "2000", "4000"]);
const RECORDS_BATCH: (&str, &[&str]) =
    ("WEGWEISER_RECORDS_BATCH_MESSAGES", &["100", "250", "500", "1000"]);
const RECORDS_WORKERS: (&str, &[&str]) = ("WEGWEISER_RECORDS_WORKERS", &["1", "2", "3", "4"]);
const POOL: (&str, &[&str]) = ("WEGWEISER_DATABASE_POOL_CONNECTIONS", &["2", "4", "6", "10"]);
/// Limits of the consumer, tried by changing it at the broker.
const ACK_PENDING: [i64; 5] = [1_000, 2_000, 5_000, 20_000, 50_000];

/// Leg (h).
pub(crate) async fn replicas(
    world: &World,
    fleet: &Fleet,
    run: usize,
    messages: usize,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for replicas in REPLICAS {
        let drain = Drain { replicas, ..Drain::new(metrics_backlog(messages), Leg::Replicas) };
        let drain = drain.named(replicas.to_string());
        samples.push(metrics(world, fleet, &drain, run).await?);
    }
    Ok(samples)
}

/// Leg (j).
pub(crate) async fn growth(world: &World, to: &BenchSettings, run: usize) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for devices in DEVICES {
        let fleet = Fleet::new(&world.tenants, devices)?;
        let drain = Drain::new(metrics_backlog(to.messages), Leg::MetricsGrowth)
            .named(format!("{devices} devices"));
        samples.push(metrics(world, &fleet, &drain, run).await?);
    }
    let fleet = Fleet::new(&world.tenants, to.devices)?;
    for messages in BACKLOGS {
        let drain = Drain::new(metrics_backlog(messages), Leg::MetricsGrowth)
            .named(format!("backlog {messages}"));
        samples.push(metrics(world, &fleet, &drain, run).await?);
    }
    Ok(samples)
}

/// Leg (k): a curve for each default.
pub(crate) async fn curves(
    world: &World,
    fleet: &Fleet,
    to: &BenchSettings,
    run: usize,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let backlog = metrics_backlog(to.messages);
    for drain in varied(Drain::new(backlog, Leg::MetricsCurve), METRICS_BATCH) {
        samples.push(metrics(world, fleet, &drain, run).await?);
    }
    for most in ACK_PENDING {
        world.limit_ack_pending(backlog.stream, backlog.consumer, most).await?;
        let drain = Drain::new(backlog, Leg::MetricsCurve).named(format!("max_ack_pending {most}"));
        samples.push(metrics(world, fleet, &drain, run).await?);
    }
    world.apply_streams().await?;
    let messages = to.records();
    let backlog = Backlog { stream: "RESPONSES", consumer: "records", messages };
    for curve in [RECORDS_BATCH, RECORDS_WORKERS, POOL] {
        for drain in varied(Drain::new(backlog, Leg::RecordsCurve), curve) {
            samples.push(records(world, fleet, &drain, run).await?);
        }
    }
    Ok(samples)
}

/// A drain for each value of a setting, named by it.
fn varied(
    drain: Drain,
    (setting, values): (&'static str, &'static [&'static str]),
) -> impl Iterator<Item = Drain> {
    let word = setting.trim_start_matches("WEGWEISER_").to_lowercase();
    values.iter().map(move |value| {
        let settings = vec![(setting, (*value).to_owned())];
        Drain { settings, ..drain.clone() }.named(format!("{word} {value}"))
    })
}

const fn metrics_backlog(messages: usize) -> Backlog {
    Backlog { stream: "METRICS", consumer: "rings", messages }
}

async fn metrics(world: &World, fleet: &Fleet, drain: &Drain, run: usize) -> Result<Sample> {
    let messages = drain.backlog.messages;
    world.purge(drain.backlog.stream).await?;
    fleet.publish_points(&world.operator, &fleet.points(messages)).await?;
    let sample = drain.measure(world, run).await?;
    rings::check(world, fleet.rings(messages)).await?;
    rings::empty(world).await?;
    world.purge(drain.backlog.stream).await?;
    Ok(sample)
}

async fn records(world: &World, fleet: &Fleet, drain: &Drain, run: usize) -> Result<Sample> {
    let messages = drain.backlog.messages;
    world.purge(drain.backlog.stream).await?;
    publish_responses(&world.operator, &fleet.responses(messages)).await?;
    let sample = drain.measure(world, run).await?;
    rows::check(world, messages).await?;
    rows::empty(world).await?;
    world.purge(drain.backlog.stream).await?;
    Ok(sample)
}
