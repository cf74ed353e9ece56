//! `wegweiser device label`: what operators call a device by.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use protocol::labels::check_key;
use protocol::{DeviceId, Labels};
use storage::LabelChange;

use crate::who::who;
use crate::{environment, output};

/// Labels a device.
#[derive(Debug, Args)]
pub(super) struct LabelCommand {
    #[command(subcommand)]
    verb: LabelVerb,
}

#[derive(Debug, Subcommand)]
enum LabelVerb {
    /// Add labels or replace their values; they win over those that the device reports.
    Set(Set),
    /// Take labels away that operators set.
    Unset(Unset),
}

#[derive(Debug, Args)]
struct Set {
    /// The device (UUID).
    device: DeviceId,
    /// Labels, such as site=cologne.
    #[arg(required = true, value_name = "KEY=VALUE")]
    labels: Vec<String>,
}

#[derive(Debug, Args)]
struct Unset {
    /// The device (UUID).
    device: DeviceId,
    /// Keys, such as site.
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

/// Labels from `key=value` each.
///
/// # Errors
/// The first that is none.
pub(crate) fn read(pairs: &[String]) -> anyhow::Result<Labels> {
    let mut labels = Labels::default();
    for pair in pairs {
        labels.set_pair(pair)?;
    }
    Ok(labels)
}

pub(super) async fn run(command: LabelCommand) -> anyhow::Result<ExitCode> {
    let (device, set, unset) = match command.verb {
        LabelVerb::Set(Set { device, labels }) => (device, read(&labels)?, Vec::new()),
        LabelVerb::Unset(Unset { device, keys }) => {
            keys.iter().try_for_each(|key| check_key(key))?;
            (device, Labels::default(), keys)
        }
    };
    let records = environment::records()?;
    let who = who()?;
    let change = LabelChange { device, set: &set, unset: &unset, who: &who };
    output::json(&records.change_labels(change).await?)?;
    Ok(ExitCode::SUCCESS)
}
