//! `wegweiser command cancel`: taking a command back.

use std::process::ExitCode;

use clap::Args;
use protocol::CommandId;
use serde_json::json;
use storage::Cancelled;

use super::desk::Desk;
use crate::output::{self, Format};

#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The command (UUID).
    command: CommandId,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

pub(super) async fn run(command: &Cancel) -> anyhow::Result<ExitCode> {
    let desk = Desk::open().await?;
    let id = command.command;
    let take_out = async |device, sequence| {
        desk.sender.take_out(device, sequence).await.map_err(|error| error.to_string())
    };
    let outcome = desk.records.cancel_command(id, &desk.who, &desk.signer, take_out).await?;
    desk.publish().await?;
    let said = match outcome {
        Cancelled::Cancelled => format!("cancelled {id}: its device never gets it"),
        Cancelled::EndedBefore => {
            format!("{id} had ended before; see: wegweiser command show {id}")
        }
        Cancelled::Asked { by } => {
            format!("its device is told to end it; see: wegweiser command show {by}")
        }
        Cancelled::CannotBeReached => {
            format!("{id} was sent to a device of the first generation, which takes nothing back")
        }
    };
    match command.output {
        Format::Text => output::text(&said)?,
        Format::Json => {
            let mut told = json!(outcome);
            told["command"] = id.to_string().into();
            output::json(&told)?;
        }
    }
    let cannot = matches!(outcome, Cancelled::EndedBefore | Cancelled::CannotBeReached);
    Ok(if cannot { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
