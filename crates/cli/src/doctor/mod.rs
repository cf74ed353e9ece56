//! `wegweiser doctor`: every part asked once, as a checklist with remedies.
//!
//! Promises: every check is made, also when another fails, and each is bounded in time; exit code 1
//! when something is wrong. Refuses: to change anything.

mod broker;
mod device;
mod finding;
mod offset;
mod postgres;
mod redis;
mod streams;

use std::process::ExitCode;
use std::time::Duration;

use ::broker::BrokerSettings;
use ::broker::streams::StreamSettings;
use clap::Args;
use protocol::DeviceId;
use storage::{PostgresSettings, RedisSettings};

use crate::doctor::finding::{Finding, Report};
use crate::environment;
use crate::output::{self, Format};

/// A device's clock this far off puts its points in the wrong place of a chart.
pub(crate) const CLOCK_OFF_MS: i64 = 5_000;
/// Longest time for one question to one server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// Checks the installation.
#[derive(Debug, Args)]
pub(crate) struct DoctorCommand {
    /// Also check whether this device (UUID) reports.
    #[arg(long)]
    device: Option<DeviceId>,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

struct Settings {
    broker: BrokerSettings,
    streams: StreamSettings,
    redis: RedisSettings,
    postgres: PostgresSettings,
}

pub(crate) async fn run(command: DoctorCommand) -> anyhow::Result<ExitCode> {
    let settings = environment::read(|reader| Settings {
        broker: environment::broker_settings(reader),
        streams: StreamSettings::read(reader),
        redis: RedisSettings::read(reader),
        postgres: PostgresSettings::read(reader),
    })?;
    let (broker, redis, postgres, device) = tokio::join!(
        broker::check(&settings.broker, &settings.streams),
        redis::check(&settings.redis),
        postgres::check(&settings.postgres),
        check_device(command.device, &settings),
    );
    let report = Report::new([broker, redis, postgres, device].concat());
    match command.output {
        Format::Text => output::text(&report.render())?,
        Format::Json => output::json(&report)?,
    }
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn check_device(device: Option<DeviceId>, settings: &Settings) -> Vec<Finding> {
    match device {
        Some(device) => device::check(device, &settings.redis, &settings.postgres).await,
        None => Vec::new(),
    }
}

/// The answer, or why there is none.
async fn answer<T, E: std::error::Error>(
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_TIMEOUT, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(with_sources(&error)),
        Err(_) => Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
