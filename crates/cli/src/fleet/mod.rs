//! `wegweiser fleet`: simulated devices over the real protocol, to fill a demo and to load a broker.
//!
//! Promises: each device has credentials, a connection and an outbox of its own, and reports
//! exactly as the agent does; the same seed and tenants give the same devices; what was handed over
//! and confirmed stands in the ledger, for a checker to compare with what was stored. Credentials
//! are made for the run and are kept in a private directory, in memory where there is any.
//! Refuses: to print a line a device; a summary tells.

mod chaos;
mod comeback;
mod commands;
mod curves;
mod device;
mod ledger;
mod members;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use broker::accounts::{KEYS_DIR, TENANTS_DIR};
use clap::Args;
use protocol::TenantId;
use runtime::shutdown::{self, CancellationToken};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::span::span;
use crate::{environment, output};
use chaos::Knobs;
use comeback::Comeback;
use commands::CommandPlace;
use device::{Device, Rhythm};
use ledger::Summary;

/// How often the summary is printed.
const SUMMARY_EVERY: Duration = Duration::from_secs(10);
/// How often to look who came back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most devices that one process simulates.
const DEVICES_MAX: u32 = 100_000;

/// Simulates devices that report as the agent does.
#[derive(Debug, Args)]
pub(crate) struct FleetCommand {
    /// How many devices, spread evenly over the tenants.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=i64::from(DEVICES_MAX)))]
    devices: u32,
    /// Whose they are (UUID); several with commas between or by repeating.
    #[arg(long, alias = "tenants", value_name = "TENANT", value_delimiter = ',')]
    tenant: Vec<TenantId>,
    /// Without --tenant: every tenant that has a file in this directory.
    #[arg(long, value_name = "DIRECTORY", env = TENANTS_DIR.name,
          default_value = TENANTS_DIR.default.unwrap_or_default())]
    tenants_from: PathBuf,
    /// Key directory that the devices' credentials are issued from.
    #[arg(long, value_name = "DIRECTORY", env = KEYS_DIR.name,
          default_value = KEYS_DIR.default.unwrap_or_default())]
    keys: PathBuf,
    /// How often a device reports its metrics.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "2s")]
    metrics_interval: Duration,
    /// How often a device sends a heartbeat.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "15s")]
    heartbeat_interval: Duration,
    /// How often a device sends a monitoring report.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "5m")]
    monitoring_interval: Duration,
    /// Over how long the first connections are spread.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "3s")]
    connect_over: Duration,
    /// Over how long the devices' reconnections are spread, as for agents.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "20s")]
    reconnect_spread: Duration,
    /// How long to go on; without it, until a signal.
    #[arg(long = "for", value_name = "SPAN", value_parser = span)]
    lasting: Option<Duration>,
    /// File for what each device handed over and the broker confirmed: a JSON object a line.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// How often the ledger is written.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "3s")]
    ledger_every: Duration,
    /// Folder for a journal a device: with it the devices pull and answer commands, and each one that
    /// they begin is a line of executions.log there.
    #[arg(long, value_name = "DIRECTORY")]
    commands: Option<PathBuf>,
    /// How long a command lasts at most, each its own share of that; without it, no time at all.
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "commands")]
    commands_last: Option<Duration>,
    #[command(flatten)]
    knobs: Knobs,
    /// Another seed gives other devices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the fleet; fails if a device was never connected, or if the broker did not confirm
/// everything that was not dropped.
///
/// # Errors
/// No tenants, keys that are missing, a ledger that cannot be written, a connection that cannot be
/// had whatever is waited for.
pub(crate) async fn run(command: FleetCommand) -> anyhow::Result<ExitCode> {
    let broker = environment::read(environment::broker_settings)?;
    let keys = Arc::new(environment::keys(&command.keys)?);
    let tenants = members::tenants(&command.tenant, &command.tenants_from)?;
    let members = members::members(command.seed, &tenants, command.devices);
    members::check_keys(&keys, &members)?;
    let commands = match &command.commands {
        Some(dir) => Some(Arc::new(CommandPlace::make(
            dir,
            &keys,
            command.commands_last.unwrap_or_default(),
        )?)),
        None => None,
    };
    let places = Arc::new(device::CredsPlace::make(&broker, keys, command.reconnect_spread)?);
    let rhythm = Rhythm {
        knobs: command.knobs,
        metrics: command.metrics_interval,
        heartbeat: command.heartbeat_interval,
        monitoring: command.monitoring_interval,
    };
    let devices = members
        .into_iter()
        .map(|member| Device::new(member, rhythm, commands.as_ref()).map(Arc::new));
    let devices: Vec<Arc<Device>> = devices.collect::<anyhow::Result<_>>()?;

    let stop = shutdown::on_signal()?;
    let mut lives = JoinSet::new();
    for (index, device) in (0_u32..).zip(&devices) {
        let after = command.connect_over.mul_f64(f64::from(index) / f64::from(command.devices));
        lives.spawn(Arc::clone(device).live(after, Arc::clone(&places), stop.clone()));
    }
    watch(&command, &devices, &mut lives, &stop).await?;
    stop.cancel();
    let mut left = 0;
    while let Some(ended) = lives.join_next().await {
        left += ended.context("a simulated device broke down")??;
    }
    write_ledger(&command, &devices).await?;
    output::text(&Summary::of(&devices).to_string())?;
    if left > 0 {
        output::note(&format!("wegweiser: the broker did not confirm {left} messages"));
    }
    let outside = devices.iter().filter(|device| !device.was_connected()).count();
    if outside > 0 {
        let telling = "set WEGWEISER_LOG=warn to see why";
        output::note(&format!("wegweiser: {outside} devices were never connected; {telling}"));
    }
    if left > 0 || outside > 0 {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Until the end: summaries and the ledger.
async fn watch(
    command: &FleetCommand,
    devices: &[Arc<Device>],
    lives: &mut JoinSet<anyhow::Result<u64>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let end = command.lasting.map(|lasting| start + lasting);
    let mut ledger_ticks = tokio::time::interval(command.ledger_every);
    ledger_ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut summary_ticks = tokio::time::interval_at(start + SUMMARY_EVERY, SUMMARY_EVERY);
    summary_ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut comeback = Comeback::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep_until(end.unwrap_or(start)), if end.is_some() => return Ok(()),
            _ = ledger_ticks.tick() => write_ledger(command, devices).await?,
            _ = summary_ticks.tick() => output::text(&Summary::of(devices).to_string())?,
            _ = looks.tick() => {
                let reconnections = devices.iter().map(|device| device.reconnections()).sum();
                let whole = devices.iter().all(|device| device.is_connected());
                if let Some(histogram) = comeback.look(reconnections, whole) {
                    output::text(&histogram)?;
                }
            }
            Some(ended) = lives.join_next() => {
                // None ends before it is told to, unless it cannot go on.
                ended.context("a simulated device broke down")??;
            }
        }
    }
}

async fn write_ledger(command: &FleetCommand, devices: &[Arc<Device>]) -> anyhow::Result<()> {
    let Some(path) = command.ledger.clone() else { return Ok(()) };
    let text = ledger::lines(devices)?;
    tokio::task::spawn_blocking(move || ledger::write(&path, &text)).await?
}
