//! `wegweiser device revoke`: a device is out, whatever credentials it was ever given.
//!
//! Promises: revoked in the registry first, so that it gets no new ones, then at the broker; once
//! more makes the broker follow the registry again.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use broker::accounts;
use clap::Args;
use identity::{AccountName, PublicKey, UnixSeconds};
use protocol::{DeviceId, TenantId};
use storage::{DeviceState, NotedCredential};

use crate::office::Office;
use crate::operation::{About, Operation};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The device (UUID).
    device: DeviceId,
    /// Why, in words; kept in the audit log.
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    because: String,
}

pub(super) async fn run(command: &Revoke) -> anyhow::Result<ExitCode> {
    let office = Office::open()?;
    let device = command.device;
    let tenant = owner(&office, device).await?;
    let about = About::device(tenant, device).with("because", command.because.as_str());
    let operation = Operation::begin(&office.records, "device revoke", vec![about]).await?;
    let revoked = async {
        office.records.set_device_state(tenant, device, DeviceState::Revoked).await?;
        let all = office.records.credentials(device).await?;
        refuse(&office, tenant, device, &all).await
    };
    let keys = operation.finish(revoked.await).await?;
    output::text(&format!("revoked {device}: {keys} credentials are refused"))?;
    Ok(ExitCode::SUCCESS)
}

/// Whose a device is.
pub(super) async fn owner(office: &Office, device: DeviceId) -> anyhow::Result<TenantId> {
    let found = office.records.registered_device(device).await.context("reading the registry")?;
    match found {
        Some(found) => Ok(found.tenant),
        None => bail!("device {device} is not registered; run: wegweiser device list"),
    }
}

/// Makes the broker refuse these credentials; returns how many.
pub(super) async fn refuse(
    office: &Office,
    tenant: TenantId,
    device: DeviceId,
    credentials: &[NotedCredential],
) -> anyhow::Result<usize> {
    let names: Vec<String> = credentials.iter().map(|one| one.public_key.clone()).collect();
    let keys = names.iter().map(|name| name.parse()).collect::<Result<Vec<PublicKey>, _>>();
    let keys = keys.context("reading the registry's keys")?;
    if keys.is_empty() {
        return Ok(0);
    }
    let server = office.server().await?;
    let account = AccountName::Tenant(tenant);
    accounts::revoke(&server, &office.keys, account, &keys, UnixSeconds::now())
        .await
        .context("revoking at the broker")?;
    office.records.note_revoked(device, &names).await.context("noting the revocation")?;
    Ok(keys.len())
}
