//! `make bench`: the pipeline beside its floors, measured in one run on servers of its own.
//!
//! Promises: what is measured is the real receiver on the real servers; every leg checks that its
//! work was done; legs alternate, so that what disturbs one run disturbs all. Refuses to judge: it
//! prints figures and fails only where a leg lost something or could not run.

mod cost;
mod legs;
mod measure;
mod report;
mod settings;
mod workload;
mod world;

use std::process::ExitCode;

use devstack::output;
use runtime::EXIT_USAGE;
use runtime::settings::Reader;

use crate::settings::BenchSettings;

fn main() -> ExitCode {
    let mut reader = Reader::from_environment();
    let settings = BenchSettings::read(&mut reader);
    if let Err(mistakes) = reader.finish() {
        output::note(&mistakes.to_string());
        return ExitCode::from(EXIT_USAGE);
    }
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(settings: &BenchSettings) -> anyhow::Result<()> {
    let world = world::World::start(settings.receiver.clone()).await?;
    let mut samples = Vec::new();
    for run in 1..=settings.runs {
        output::note(&format!("run {run} of {}, load {}", settings.runs, cost::load()?));
        samples.extend(legs::round(&world, settings, run).await?);
    }
    let report = report::Report::new(settings, samples);
    report.print();
    report.save(&settings.json)
}
