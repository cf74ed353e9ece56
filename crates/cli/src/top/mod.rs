//! `wegweiser top`: the whole pipeline on one screen, as it goes, or once for a script.
//!
//! Promises: what does not answer is named in its place, and the rest is shown; nothing is changed.
//! Refuses: to draw where there is no terminal.

mod look;
mod receivers;
mod screen;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;

use crate::output::{self, Format};
use look::Looker;

/// Show streams, consumers, receivers and sinks as they go
#[derive(clap::Args, Debug)]
pub(crate) struct TopCommand {
    /// Look twice, print what was seen and end
    #[arg(long)]
    once: bool,
    /// Form of what --once prints
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "once")]
    output: Format,
    /// Between two looks, in milliseconds
    #[arg(long, short = 'd', value_name = "MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(100..=60_000))]
    every: u64,
    /// A receiver's /metrics address; may be repeated
    #[arg(long = "receiver", value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    receivers: Vec<String>,
}

pub(crate) async fn run(command: &TopCommand) -> anyhow::Result<ExitCode> {
    let every = Duration::from_millis(command.every);
    if !command.once {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        ensure!(terminal, "top draws on a terminal, and this is none; use --once");
    }
    let mut looker = Looker::connect(command.receivers.clone()).await?;
    if !command.once {
        screen::run(looker, every).await?;
        return Ok(ExitCode::SUCCESS);
    }
    // Rates are between two looks.
    looker.look().await;
    tokio::time::sleep(every).await;
    let seen = looker.look().await;
    match command.output {
        Format::Json => output::json(&seen)?,
        Format::Text => output::text(&view::text(&seen))?,
    }
    Ok(ExitCode::SUCCESS)
}
