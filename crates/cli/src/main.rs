//! wegweiser: what an operator types.
//!
//! Promises: 0 done or in sync, 1 an error or something wrong, 2 a difference, 64 wrong usage or
//! settings; answers on standard output, errors on standard error. Refuses: secrets on the command line.

mod accounts;
mod api_token;
mod arrived;
mod audit;
mod clock;
mod command;
mod database_sign_in;
mod device;
mod devices;
mod dlq;
mod doctor;
mod environment;
mod fleet;
mod ledger;
mod metrics;
mod migrate;
mod office;
mod operation;
mod output;
mod rebuild;
mod secret_file;
mod span;
mod status;
mod streams;
mod tenant;
mod top;
mod verb;
mod who;

use std::process::ExitCode;

use clap::Parser;
use runtime::{EXIT_USAGE, settings::Mistakes};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match verb::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap's own 2 would be taken for "there is a difference".
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            // A closed pipe is all that can go wrong here.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match verb::run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            output::note(&format!("wegweiser: {error:#}"));
            if error.is::<Mistakes>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}
