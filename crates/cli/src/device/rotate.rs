//! `wegweiser device rotate`: new credentials, and the old ones are worthless.
//!
//! Promises: the new file is written before the old credentials are refused; the keys whose commands
//! the device believes lie beside it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use identity::DeviceRole;
use protocol::DeviceId;
use storage::DeviceState;

use super::issue::{Life, Wanted, issue, life, pin_command_keys, tell, tell_pinned};
use super::revoke::refuse;
use crate::office::Office;
use crate::operation::{About, Operation};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// The device (UUID).
    device: DeviceId,
    /// How long the credentials are good for, such as 90d, or none: without an end; without it,
    /// WEGWEISER_DEVICE_LIFETIME_SECONDS, and for role device-first-generation none.
    #[arg(long, value_name = "SPAN", value_parser = life)]
    expires: Option<Life>,
    /// The credentials file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    creds_out: PathBuf,
}

pub(super) async fn run(command: &Rotate) -> anyhow::Result<ExitCode> {
    let office = Office::open()?;
    let (device, path) = (command.device, command.creds_out.as_path());
    let found = office.records.registered_device(device).await.context("reading the registry")?;
    let Some(found) = found else {
        bail!("device {device} is not registered; run: wegweiser device add");
    };
    let tenant = found.tenant;
    let role = [DeviceRole::Current, DeviceRole::FirstGeneration]
        .into_iter()
        .find(|role| role.name() == found.role)
        .with_context(|| format!("the registry has role {:?}; wegweiser is older", found.role))?;
    let about = vec![About::device(tenant, device)];
    let operation = Operation::begin(&office.records, "device rotate", about).await?;
    let life = Life::or_usual(command.expires, office.accounts.device_lifetime, role);
    let rotated = async {
        let old = office.records.credentials(device).await.context("reading the registry")?;
        office.records.set_device_state(tenant, device, DeviceState::Active).await?;
        let end = issue(&office, &Wanted { tenant, device, role, life, path }).await?;
        Ok((refuse(&office, tenant, device, &old).await?, end))
    };
    let (refused, end) = operation.finish(rotated.await).await?;
    tell(path, role, end);
    if role == DeviceRole::Current {
        tell_pinned(&pin_command_keys(&office, path)?);
    }
    output::text(&format!("rotated {device}: {refused} older credentials are refused"))?;
    Ok(ExitCode::SUCCESS)
}
