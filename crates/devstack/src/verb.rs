//! The verbs of `devstack`, and what each does.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use devstack::local::{self, BrokerFiles};
use devstack::{demo, output, page, stack_dir, tools};

/// Starts and stops NATS, Redis and Postgres for development, under `.stack/`.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run everything on this machine with live data, until Ctrl-C
    Demo {
        /// End by itself after this time, such as 60s; exit 1 unless everything had arrived
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        limit: Option<Duration>,
    },
    /// Run the demo, stop Postgres and kill a receiver in it, and show that nothing is lost
    Outage {
        /// How long each scene is watched, such as 10s
        #[arg(long, value_name = "TIME", value_parser = span, default_value = "10s")]
        scene: Duration,
    },
    /// Say which servers are used and why; install the missing ones into `.stack/venv`
    Tools,
    /// Build the page that the web service serves, unless it is built; installs Node.js if need be
    Page,
    /// Start the local stack in the background, unless it runs
    Up {
        /// Make keys and credentials first, and run the broker with accounts and TLS
        #[arg(long)]
        wegweiser: bool,
        #[command(flatten)]
        broker: BrokerFiles,
    },
    /// Run the local stack in the foreground until SIGTERM or Ctrl-C
    Serve(BrokerFiles),
    /// Stop the local stack
    Down,
    /// Say what runs; exit 1 unless all of it does
    Status,
    /// Stop the local stack and remove its data, keys and logs
    Clean,
}

/// Does what was asked for.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let stack = stack_dir()?;
    match &arguments.verb {
        Verb::Demo { limit } => {
            let ended = demo::run(&stack, *limit)?;
            return Ok(ExitCode::from(u8::from(ended == demo::Ended::Failed)));
        }
        Verb::Outage { scene } => {
            let ended = demo::outage::run(&stack, *scene)?;
            return Ok(ExitCode::from(u8::from(ended == demo::Ended::Failed)));
        }
        Verb::Tools => {
            tools::all()?.iter().for_each(|tool| output::line(&tool.to_string()));
            match tools::redis_server_with_tls() {
                Ok(tool) => output::line(&tool.to_string()),
                Err(error) => output::note(&format!("no redis with TLS: {error:#}")),
            }
        }
        Verb::Page => page::build()?,
        Verb::Up { wegweiser: true, .. } => local::up(&stack, &demo::broker_files(&stack)?)?,
        Verb::Up { broker, .. } => local::up(&stack, broker)?,
        Verb::Serve(broker) => local::serve(stack, broker)?,
        Verb::Down => local::down(&stack)?,
        Verb::Status if local::status(&stack)? => {}
        Verb::Status => return Ok(ExitCode::FAILURE),
        Verb::Clean => local::clean(&stack)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A whole number of seconds, minutes or hours: `90s`, `5m`, `1h`.
fn span(text: &str) -> Result<Duration, String> {
    let remedy = || format!("{text:?} is no time; give a whole number and s, m or h, such as 60s");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(remedy)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(remedy()),
    };
    let number: u32 = number.parse().map_err(|_| remedy())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}
