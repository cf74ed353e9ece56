//! `wegweiser arrived`: reads back what devices sent, from where users read it.
//!
//! Promises: every device and metric that is missing is named; exit 0 only when none is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use protocol::{AGENT_METRICS, DeviceId, MetricType, UnixMillis};
use serde::Deserialize;
use storage::{Records, Rings};
use tokio::time::Instant;

use crate::{environment, output};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Missing things that are named; of the rest the number is told.
const NAMED_AT_MOST: usize = 20;

/// Check that points and heartbeats of devices were stored: read back from Redis and Postgres
#[derive(clap::Args, Debug)]
pub(crate) struct ArrivedCommand {
    /// Devices to look for
    #[arg(value_name = "DEVICE")]
    devices: Vec<DeviceId>,
    /// Ledger of a simulated fleet: look for each of its devices
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Only what is newer counts, in milliseconds since 1970
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    since: i64,
    /// Longest wait for what is still on its way, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

#[derive(Deserialize)]
struct LedgerLine {
    device: DeviceId,
}

pub(crate) async fn run(command: &ArrivedCommand) -> anyhow::Result<ExitCode> {
    let mut devices = command.devices.clone();
    if let Some(path) = &command.ledger {
        devices.extend(read_ledger(path)?);
    }
    anyhow::ensure!(!devices.is_empty(), "no device to look for; give DEVICE or --ledger");
    let (rings, _) = environment::rings()?;
    let records = environment::records()?;
    let since = UnixMillis::new(command.since);
    let deadline = Instant::now() + Duration::from_secs(command.wait);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let missing = missing(&rings, &records, &devices, since).await?;
        if missing.is_empty() {
            let points = devices.len() * AGENT_METRICS.len();
            output::text(&format!(
                "arrived: {points} rings in Redis and {} heartbeats in Postgres, of {} devices",
                devices.len(),
                devices.len()
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() >= deadline {
            for what in missing.iter().take(NAMED_AT_MOST) {
                output::note(&format!("missing: {what}"));
            }
            let unnamed = missing.len().saturating_sub(NAMED_AT_MOST);
            if unnamed > 0 {
                output::note(&format!("missing: {unnamed} more"));
            }
            return Ok(ExitCode::FAILURE);
        }
    }
}

fn read_ledger(path: &Path) -> anyhow::Result<Vec<DeviceId>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the ledger {}", path.display()))?;
    let mut devices = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line: LedgerLine = serde_json::from_str(line)
            .with_context(|| format!("line {} of {}", index + 1, path.display()))?;
        devices.push(line.device);
    }
    Ok(devices)
}

async fn missing(
    rings: &Rings,
    records: &Records,
    devices: &[DeviceId],
    since: UnixMillis,
) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for device in devices {
        for name in AGENT_METRICS {
            let metric: MetricType = name.parse()?;
            let newest = rings.newest(*device, &metric, 1).await?.pop();
            if newest.is_none_or(|point| point.timestamp < since) {
                missing.push(format!("points of {name} of device {device} in Redis"));
            }
        }
        let row = records.devices(None, Some(*device), 1).await?.pop();
        if row.is_none_or(|row| row.last_heartbeat < since || !row.online) {
            missing.push(format!("heartbeat of device {device} in Postgres"));
        }
    }
    Ok(missing)
}
