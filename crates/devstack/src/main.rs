//! `devstack`: the local servers from the command line. See the library for what it promises.

mod verb;

use std::process::ExitCode;

use clap::Parser as _;
use devstack::output;

fn main() -> ExitCode {
    verb::run(&verb::Arguments::parse()).unwrap_or_else(|error| {
        output::note(&format!("devstack: {error:#}"));
        ExitCode::FAILURE
    })
}
