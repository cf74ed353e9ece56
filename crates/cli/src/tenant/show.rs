//! `wegweiser tenant show`: one tenant in the files, at the broker and in the registry.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use broker::accounts::held;
use clap::Args;
use identity::AccountLimits;
use protocol::TenantId;
use serde::Serialize;
use storage::RegistryTenant;

use crate::clock::exact;
use crate::office::Office;
use crate::output::{self, Format};

use super::list::state;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The tenant (UUID).
    tenant: TenantId,
    /// Text for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Serialize)]
struct Shown {
    tenant: TenantId,
    /// None: no file declares it.
    file: Option<Declaration>,
    /// None: the broker has no account of it.
    broker: Option<Account>,
    /// None: nobody added it, and it has no device.
    registry: Option<RegistryTenant>,
}

#[derive(Serialize)]
struct Declaration {
    path: String,
    name: String,
    limits: AccountLimits,
}

#[derive(Serialize)]
struct Account {
    key: String,
    suspended: bool,
    /// Credentials that are refused.
    revocations: usize,
    limits: AccountLimits,
}

pub(super) async fn run(command: &Show) -> anyhow::Result<ExitCode> {
    let office = Office::open()?;
    let tenant = command.tenant;
    let declared = office.declared()?;
    let server = office.server().await?;
    let account = held(&server, &office.keys, tenant).await.context("asking the broker")?;
    let shown = Shown {
        tenant,
        file: declared.tenant(tenant).map(|found| Declaration {
            path: found.file.display().to_string(),
            name: found.name.clone(),
            limits: found.limits.clone(),
        }),
        broker: account.map(|found| Account {
            key: found.subject.to_string(),
            suspended: found.body.is_suspended(),
            revocations: found.body.revocations.len(),
            limits: found.body.limits,
        }),
        registry: office.records.tenant(tenant).await.context("reading the registry")?,
    };
    if shown.file.is_none() && shown.broker.is_none() && shown.registry.is_none() {
        bail!("tenant {tenant} is unknown; run: wegweiser tenant list");
    }
    match command.output {
        Format::Json => output::json(&shown)?,
        Format::Text => output::text(&render(&shown))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn render(shown: &Shown) -> String {
    let mut lines = vec![format!("tenant    {}", shown.tenant)];
    lines.push(match &shown.file {
        Some(file) => format!("file      {} ({})", file.path, file.name),
        None => "file      none: it is removed, or declared elsewhere".to_owned(),
    });
    lines.push(match &shown.broker {
        Some(account) if account.suspended => {
            format!(
                "broker    suspended: refuses every connection; run: wegweiser tenant resume {}",
                shown.tenant
            )
        }
        Some(account) => {
            let most = match account.limits.conn {
                ..0 => "any number of".to_owned(),
                limited => format!("up to {limited}"),
            };
            let revoked = account.revocations;
            format!("broker    lets in {most} connections; {revoked} credentials are revoked")
        }
        None => "broker    has no account of it; run: wegweiser accounts apply".to_owned(),
    });
    lines.push(match &shown.registry {
        Some(found) => format!(
            "registry  {} since {}; {} devices; added {}; commands to its first-generation agents: {}",
            state(found.state),
            exact(found.changed_at),
            found.devices,
            exact(found.created_at),
            if found.first_generation_commands { "allowed" } else { "forbidden" }
        ),
        None => "registry  does not know it yet; its first device will make it known".to_owned(),
    });
    lines.join("\n")
}
