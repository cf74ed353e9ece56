//! `wegweiser tenant suspend|resume`: shutting a tenant out, and letting it in again.
//!
//! Promises: suspended in the registry first, so that nobody gets new credentials, then at the
//! broker; resumed in the other order. Both may be repeated, and then make the broker follow the
//! registry once more.

use std::process::ExitCode;

use anyhow::Context as _;
use broker::accounts;
use clap::Args;
use protocol::TenantId;
use storage::TenantState;

use crate::office::{Office, find};
use crate::operation::{About, Operation};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Suspend {
    /// The tenant (UUID).
    tenant: TenantId,
    /// Why, in words; kept in the audit log.
    #[arg(long, value_name = "WORDS", default_value = "", hide_default_value = true)]
    because: String,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The tenant (UUID).
    tenant: TenantId,
}

pub(super) async fn suspend(command: &Suspend) -> anyhow::Result<ExitCode> {
    let office = Office::open()?;
    let tenant = command.tenant;
    let declared = office.declared()?;
    let name = &find(&declared, tenant)?.name;
    let about = About::tenant(tenant).with("because", command.because.as_str());
    let operation = Operation::begin(&office.records, "tenant suspend", vec![about]).await?;
    let suspended = async {
        let server = office.server().await?;
        office.records.ensure_tenant(tenant, name).await?;
        office.records.set_tenant_state(tenant, TenantState::Suspended).await?;
        accounts::suspend(&server, &office.keys, tenant).await.context("suspending the account")
    };
    operation.finish(suspended.await).await?;
    output::text(&format!("suspended {tenant} ({name})"))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn resume(command: &Resume) -> anyhow::Result<ExitCode> {
    let office = Office::open()?;
    let tenant = command.tenant;
    let declared = office.declared()?;
    let declared = find(&declared, tenant)?;
    let about = vec![About::tenant(tenant)];
    let operation = Operation::begin(&office.records, "tenant resume", about).await?;
    let resumed = async {
        let server = office.server().await?;
        office.records.ensure_tenant(tenant, &declared.name).await?;
        let resumed = accounts::resume(&server, &office.keys, declared).await;
        resumed.context("resuming the account")?;
        office.records.set_tenant_state(tenant, TenantState::Active).await?;
        anyhow::Ok(())
    };
    operation.finish(resumed.await).await?;
    output::text(&format!("resumed {tenant} ({})", declared.name))?;
    Ok(ExitCode::SUCCESS)
}
