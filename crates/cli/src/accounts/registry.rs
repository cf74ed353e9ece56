//! Tells the registry what tenants' accounts at the broker are, for who holds no key to ask the
//! broker: the page.

use broker::accounts::DeclaredAccount;
use identity::AccountName;
use storage::{AppliedTenant, Records, TenantLimits, Unavailable};

/// Notes these accounts, which the broker has as they are declared. Others than tenants' are left
/// out.
///
/// # Errors
/// Postgres is away, ill or not migrated.
pub(crate) async fn note(
    records: &Records,
    accounts: impl Iterator<Item = &DeclaredAccount>,
) -> Result<(), Unavailable> {
    let applied: Vec<AppliedTenant<'_>> = accounts.filter_map(applied).collect();
    records.note_applied_tenants(&applied).await
}

fn applied(declared: &DeclaredAccount) -> Option<AppliedTenant<'_>> {
    let AccountName::Tenant(tenant) = declared.account else { return None };
    let limits = &declared.limits;
    Some(AppliedTenant {
        tenant,
        name: declared.name.trim(),
        limits: TenantLimits { conn: limits.conn, payload: limits.payload, subs: limits.subs },
    })
}
