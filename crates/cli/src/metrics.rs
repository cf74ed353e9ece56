//! `wegweiser metrics get`: the newest points of a metric, as the page's chart has them.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use protocol::{DeviceId, MetricType};
use serde::Serialize;
use storage::RingPoint;

use crate::clock::exact;
use crate::environment;
use crate::output::{self, Table, TableFormat};

/// Reads metrics.
#[derive(Debug, Args)]
pub(crate) struct MetricsCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the newest points of one metric of one device, oldest first.
    Get(Get),
}

#[derive(Debug, Args)]
struct Get {
    /// The device's UUID.
    device: DeviceId,
    /// The metric: cpu_percent, memory_percent, disk_percent, network_bytes_in,
    /// network_bytes_out, uptime, or any other that the device reports.
    metric: MetricType,
    /// How many points; at most METRICS_MAX_POINTS, what a ring holds.
    #[arg(long, default_value_t = 50, value_name = "POINTS")]
    last: u32,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

/// The answer, in the same form as the HTTP API's.
#[derive(Serialize)]
struct Window {
    device: DeviceId,
    metric: MetricType,
    points: Vec<RingPoint>,
}

pub(crate) async fn run(command: MetricsCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Get(get) => run_get(get).await,
    }
}

async fn run_get(get: Get) -> anyhow::Result<ExitCode> {
    let Get { device, metric, last, output } = get;
    let (rings, settings) = environment::rings()?;
    if last == 0 || last > settings.max_points {
        bail!("--last is {last}; give 1 to {} (METRICS_MAX_POINTS)", settings.max_points);
    }
    let last = usize::try_from(last)?;
    let points = rings.newest(device, &metric, last).await.context("reading the ring")?;
    if points.is_empty() {
        bail!(
            "there is no point of metric {metric} of device {device}: the device or the metric is \
             unknown, or the last point is older than {} s; \
             see `wegweiser devices` and `wegweiser doctor --device {device}`",
            settings.ttl.as_secs()
        );
    }
    match output {
        TableFormat::Json => output::json(&Window { device, metric, points })?,
        TableFormat::Table => {
            let mut table = Table::new(&["TIME", "VALUE"]);
            for point in &points {
                table.row(vec![exact(point.timestamp), point.value.to_string()]);
            }
            output::text(&table.render())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
