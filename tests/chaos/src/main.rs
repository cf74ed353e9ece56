//! `make chaos`: what can break is broken, with real processes, and every message is accounted for.
//!
//! Promises: servers are the real ones, kills are kills, and no fault is built into the product;
//! what was published and acknowledged is looked for one by one in every row, ring and dead letter.

mod agents_log;
mod books;
mod findings;
mod load;
mod memory;
mod report;
mod scenarios;
mod settings;
mod stage;
#[cfg(test)]
mod tests;
#[allow(dead_code, unused_imports, reason = "the stories' own world; they use more of it")]
#[path = "../../integration/src/world/mod.rs"]
mod world;

use std::process::ExitCode;

use devstack::output;
use runtime::EXIT_USAGE;
use runtime::settings::Reader;

use crate::report::Report;
use crate::settings::ChaosSettings;

fn main() -> ExitCode {
    let mut reader = Reader::from_environment();
    let settings = ChaosSettings::read(&mut reader);
    if let Err(mistakes) = reader.finish() {
        output::note(&mistakes.to_string());
        return ExitCode::from(EXIT_USAGE);
    }
    match run(&settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            output::note(&format!("chaos: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(settings: &ChaosSettings) -> anyhow::Result<bool> {
    let rows = report::run_all(&settings.chosen()?, settings.scale).await;
    let report = Report::new(settings, &rows);
    let holds = report.print();
    report.save(&settings.json)?;
    Ok(holds)
}
