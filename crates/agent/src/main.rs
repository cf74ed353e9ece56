//! wegweiser-agent: reports one device.
//!
//! Promises: what was measured is sent until a stream has it; a broker that is away is waited for,
//! however long; a slow collector delays nobody else. Refuses: to start with settings that cannot
//! be used (exit 64, with every mistake), and to send a value that is not finite.

mod collect;
mod device;
mod heartbeat;
mod monitoring;
mod points;
mod settings;
mod usage;

use std::process::ExitCode;

use runtime::settings::Reader;
use runtime::telemetry::TelemetrySettings;
use runtime::{EXIT_USAGE, telemetry};

use crate::settings::AgentSettings;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["run"] => {}
        ["--help" | "-h" | "help"] => return usage::print(&usage::help()),
        ["--version" | "-V"] => return usage::print(&usage::version()),
        ["--settings"] => return usage::print(&usage::settings()),
        _ => return usage::mistake(&words),
    }
    let mut reader = Reader::from_environment();
    let settings = AgentSettings::read(&mut reader);
    let telemetry_settings = TelemetrySettings::read(&mut reader);
    if let Err(mistakes) = reader.finish() {
        usage::complain(&mistakes);
        return ExitCode::from(EXIT_USAGE);
    }
    // Without settings there was a mistake.
    let Some(settings) = settings else { return ExitCode::from(EXIT_USAGE) };
    match device::run(&settings, || telemetry::start("wegweiser-agent", &telemetry_settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            usage::complain(&format!("wegweiser-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
