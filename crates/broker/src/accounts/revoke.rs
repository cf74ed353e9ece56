//! Refusing a user from now on, connected or not.

use identity::{AccountName, KeyDir, PublicKey, UnixSeconds};

use super::claims;
use super::error::AccountsError;
use super::lock;
use super::server::AccountServer;

/// Refuses every JWT of `user` that was issued up to `at`; the server ends its connections at once.
///
/// Everything else of the account stays as the server holds it. The same key can be issued a JWT
/// again after `at`; a new key is better.
///
/// # Errors
/// When the account is not at the server, a key is unusable, or the push is refused.
pub async fn revoke(
    server: &AccountServer,
    keys: &KeyDir,
    account: AccountName,
    user: &PublicKey,
    at: UnixSeconds,
) -> Result<(), AccountsError> {
    let _lock = lock::wait(keys).await?;
    let subject = keys.account(account)?.public().clone();
    let title = format!("account {account}");
    let Some(held) = server.lookup(&subject).await? else {
        return Err(AccountsError::Absent(title));
    };
    let mut body = held.body;
    body.revoke(user, at);
    let issued_at = claims::later_than(held.issued_at);
    let signer = keys.operator_signing()?;
    let jwt = claims::sign(&subject, &held.name, issued_at, body, &signer)
        .map_err(|source| AccountsError::Sign { account: title.clone(), source })?;
    server.push(&title, jwt).await
}
