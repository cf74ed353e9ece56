//! Shutting out: a user, a whole tenant, for a while or for good.
//!
//! Promises: the server ends the connections at once and refuses new ones, also after a restart;
//! everything else of the account stays as the server holds it. What is said here stands in the
//! account's JWT at the server, and [`super::apply`] keeps it.

use identity::{Account, AccountName, KeyDir, PublicKey, UnixSeconds, Verified};
use protocol::TenantId;

use super::apply::deletion;
use super::claims;
use super::declared::DeclaredAccount;
use super::error::AccountsError;
use super::lock;
use super::server::AccountServer;

/// Refuses every JWT of `users` that was issued up to `at`; the server ends their connections at
/// once.
///
/// The same key can be issued a JWT again after `at`; a new key is better.
///
/// # Errors
/// When the account is not at the server, a key is unusable, or the push is refused.
pub async fn revoke(
    server: &AccountServer,
    keys: &KeyDir,
    account: AccountName,
    users: &[PublicKey],
    at: UnixSeconds,
) -> Result<(), AccountsError> {
    let revoke_all = |body: &mut Account| users.iter().for_each(|user| body.revoke(user, at));
    change(server, keys, account, revoke_all).await
}

/// Lets nobody of a tenant in, until [`resume`].
///
/// # Errors
/// As [`revoke`].
pub async fn suspend(
    server: &AccountServer,
    keys: &KeyDir,
    tenant: TenantId,
) -> Result<(), AccountsError> {
    change(server, keys, AccountName::Tenant(tenant), Account::suspend).await
}

/// Lets a suspended tenant's users in again, as many at once as its file says. Who was revoked
/// stays out.
///
/// # Errors
/// As [`revoke`].
pub async fn resume(
    server: &AccountServer,
    keys: &KeyDir,
    tenant: &DeclaredAccount,
) -> Result<(), AccountsError> {
    change(server, keys, tenant.account, |body| body.resume(tenant.limits.conn)).await
}

/// Makes the server forget a tenant's account, and removes its keys: no credential of it will ever
/// be let in again, also should the tenant be added anew. `false`: nothing was left to remove.
///
/// # Errors
/// As [`revoke`].
pub async fn delete(
    server: &AccountServer,
    keys: &KeyDir,
    tenant: TenantId,
) -> Result<bool, AccountsError> {
    let _lock = lock::wait(keys).await?;
    let account = AccountName::Tenant(tenant);
    if !keys.has_account(account) {
        return Ok(keys.remove_account(account)?);
    }
    let subject = keys.account(account)?.public().clone();
    if server.lookup(&subject).await?.is_some() {
        let order = deletion(subject, &keys.operator_signing()?)?;
        server.delete(&format!("account {account}"), order).await?;
    }
    Ok(keys.remove_account(account)?)
}

/// What the server holds of a tenant's account; nothing where it holds none, or no key of it is here.
///
/// # Errors
/// As [`revoke`].
pub async fn held(
    server: &AccountServer,
    keys: &KeyDir,
    tenant: TenantId,
) -> Result<Option<Verified<Account>>, AccountsError> {
    let account = AccountName::Tenant(tenant);
    if !keys.has_account(account) {
        return Ok(None);
    }
    server.lookup(keys.account(account)?.public()).await
}

async fn change(
    server: &AccountServer,
    keys: &KeyDir,
    account: AccountName,
    change: impl FnOnce(&mut Account),
) -> Result<(), AccountsError> {
    let _lock = lock::wait(keys).await?;
    let subject = keys.account(account)?.public().clone();
    let title = format!("account {account}");
    let Some(held) = server.lookup(&subject).await? else {
        return Err(AccountsError::Absent(title));
    };
    let mut body = held.body;
    change(&mut body);
    let issued_at = claims::later_than(held.issued_at);
    let signer = keys.operator_signing()?;
    let jwt = claims::sign(&subject, &held.name, issued_at, body, &signer)
        .map_err(|source| AccountsError::Sign { account: title.clone(), source })?;
    server.push(&title, jwt).await
}
