//! `wegweiser device show`: one device, whether it may connect, and its credentials.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use protocol::{DeviceId, UnixMillis};
use serde::Serialize;
use storage::{DeviceState, NotedCredential, RegistryDevice, TenantState};

use super::list::word;
use crate::clock::exact;
use crate::environment;
use crate::output::{self, Format, Table};

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The device (UUID).
    device: DeviceId,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    device: RegistryDevice,
    /// Why the broker refuses it, with the remedy; none: it does not.
    refused: Option<String>,
    /// The newest first.
    credentials: Vec<NotedCredential>,
}

pub(super) async fn run(command: &Show) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    let id = command.device;
    let found = records.registered_device(id).await.context("reading the registry")?;
    let Some(device) = found else {
        bail!("device {id} is not registered; run: wegweiser device list");
    };
    let credentials = records.credentials(id).await.context("reading the registry")?;
    let refused = refused(&device, &credentials);
    let shown = Shown { device, refused, credentials };
    match command.output {
        Format::Json => output::json(&shown)?,
        Format::Text => output::text(&render(&shown))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(device: &RegistryDevice, credentials: &[NotedCredential]) -> Option<String> {
    let (id, tenant) = (device.device, device.tenant);
    let now = UnixMillis::now();
    if device.tenant_state == TenantState::Suspended {
        return Some(format!("its tenant is suspended; run: wegweiser tenant resume {tenant}"));
    }
    if device.state == DeviceState::Revoked {
        return Some(format!("it is revoked; run: wegweiser device rotate {id} --creds-out FILE"));
    }
    let good = |one: &&NotedCredential| {
        one.revoked_at.is_none() && one.expires_at.is_none_or(|at| at > now)
    };
    if credentials.iter().any(|one| good(&one)) {
        return None;
    }
    Some(format!(
        "it has no credentials that are good; run: wegweiser device rotate {id} --creds-out FILE"
    ))
}

fn render(shown: &Shown) -> String {
    let Shown { device, refused, credentials } = shown;
    let mut text = format!(
        "device   {} {}\ntenant   {} ({})\nrole     {}\nstate    {}\n",
        device.device,
        device.name,
        device.tenant,
        device.tenant_state.as_str(),
        device.role,
        word(device.state),
    );
    let connects = refused.as_ref().map_or("may".to_owned(), |why| format!("may not: {why}"));
    text.push_str(&format!("connect  {connects}\n\n"));
    let mut table = Table::new(&["KEY", "ISSUED", "ENDS", "REVOKED"]);
    let time = |at: Option<_>| at.map_or_else(|| "-".to_owned(), exact);
    for one in credentials {
        let (ends, revoked) = (time(one.expires_at), time(one.revoked_at));
        table.row(vec![one.public_key.clone(), exact(one.issued_at), ends, revoked]);
    }
    text.push_str(&table.render());
    text
}
