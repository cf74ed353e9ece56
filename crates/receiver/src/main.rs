//! wegweiser-receiver: fetch, decode, write, settle.
//!
//! Run any number of replicas; they share the same durable consumers. SIGTERM drains: what is
//! held is finished and settled. A kill at any instant loses nothing and doubles nothing.

mod batch;
mod crash_poison;
mod doubt;
mod fair;
mod hold;
mod lanes;
mod ledger;
mod metrics;
mod pipeline;
mod presence;
mod refusals;
mod samples;
mod settings;
mod settle;
mod tasks;
mod traces;

use std::process::ExitCode;

use runtime::{EXIT_USAGE, metrics as figures, settings as environment, shutdown, telemetry};

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some() {
        return settings::describe();
    }
    let mut reader = environment::Reader::from_environment();
    let settings = settings::ReceiverSettings::read(&mut reader);
    let telemetry_settings = telemetry::TelemetrySettings::read(&mut reader);
    if let Err(mistakes) = reader.finish() {
        settings::complain(&mistakes);
        return ExitCode::from(EXIT_USAGE);
    }
    match run(&settings, &telemetry_settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            settings::complain(&format!("wegweiser-receiver: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(
    settings: &settings::ReceiverSettings,
    telemetry_settings: &telemetry::TelemetrySettings,
) -> anyhow::Result<()> {
    let telemetry = telemetry::start("wegweiser-receiver", telemetry_settings)?;
    let version = env!("CARGO_PKG_VERSION");
    let metrics = figures::start("wegweiser-receiver", version, telemetry_settings)?;
    tracing::info!(version, "starting");
    let ended = tasks::run(settings, metrics.clone(), shutdown::on_signal()?).await;
    metrics.finish().await;
    telemetry.finish().await;
    ended
}
