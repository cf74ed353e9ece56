//! wegweiser-web: the HTTP API and the page on it.
//!
//! Promises: it starts and answers `/healthz` whatever else is away, and says what is away in
//! `/readyz` and in each answer that needs it. Refuses: to be reached by others without TLS.

mod api;
mod enrolment;
mod guard;
mod problem;
mod readiness;
mod server;
mod settings;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use runtime::settings::Mistakes;
use runtime::{EXIT_USAGE, shutdown, telemetry};

use crate::settings::WebSettings;

/// Serves the HTTP API of Wegweiser. It is configured by the environment alone: see `--settings`.
#[derive(Debug, Parser)]
#[command(name = "wegweiser-web", version)]
struct Arguments {
    /// Print every setting with default and unit, as a markdown table.
    #[arg(long)]
    settings: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is all that can go wrong here.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    if arguments.settings {
        let _ = write!(std::io::stdout(), "{}", settings::table());
        return ExitCode::SUCCESS;
    }
    let ended = WebSettings::read().map_err(Into::into).and_then(|settings| run(&settings));
    let Err(error) = ended else {
        return ExitCode::SUCCESS;
    };
    // Logs may not be set up; with standard error gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "wegweiser-web: {error:#}");
    if error.is::<Mistakes>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
}

#[tokio::main]
async fn run(settings: &WebSettings) -> anyhow::Result<()> {
    let telemetry = telemetry::start("wegweiser-web", &settings.telemetry)?;
    let ended = server::run(settings, shutdown::on_signal()?).await;
    telemetry.finish().await;
    ended
}
