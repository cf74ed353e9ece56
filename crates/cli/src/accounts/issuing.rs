//! Keeps the issuing directory what the key directory and the declared tenants say.
//!
//! Promises: where `WEGWEISER_ISSUING_KEYS` is not set, nothing is written.

use anyhow::Context as _;
use broker::accounts::{AccountsSettings, Declared};
use identity::{AccountName, IssuingKeys, KeyDir};
use protocol::TenantId;

/// Writes what is missing or has changed, and takes away what is no longer declared.
///
/// # Errors
/// A key is missing, or the directory cannot be written.
pub(crate) fn keep(
    settings: &AccountsSettings,
    declared: &Declared,
    keys: &KeyDir,
) -> anyhow::Result<()> {
    let Some(directory) = &settings.issuing else {
        return Ok(());
    };
    keys.ensure_command_key().context("making the key that signs commands")?;
    let tenant = |account: AccountName| match account {
        AccountName::Tenant(tenant) => Some(tenant),
        AccountName::System | AccountName::Backend => None,
    };
    let tenants: Vec<TenantId> =
        declared.tenants().iter().filter_map(|declared| tenant(declared.account)).collect();
    let exported = IssuingKeys::export(keys, directory, &tenants)
        .with_context(|| format!("keeping the issuing directory {}", directory.display()))?;
    let (written, removed) = (exported.written, exported.removed);
    tracing::info!(written, removed, "issuing directory kept");
    Ok(())
}
