//! Making the server hold what the files declare.
//!
//! Promises: everything is read, compared, checked and signed before the first push; exporters are
//! pushed before importers; a revocation made meanwhile is not lost, for whoever pushes holds the
//! key directory's lock and reads the server's claims under it.

use std::collections::BTreeSet;

use identity::{AccountDeletion, KeyDir, PublicKey, SecretKey, UnixSeconds, Unsigned};

use super::claims;
use super::declared::{Declared, DeclaredAccount};
use super::error::AccountsError;
use super::lock;
use super::plan::{Step, pushes, steps};
use super::server::AccountServer;
use crate::plan::Plan;
use crate::streams::Destructive;

/// What an apply did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The difference that was there before.
    pub plan: Plan,
    /// Accounts that were pushed.
    pub pushed: usize,
    /// Accounts that were deleted.
    pub deleted: usize,
}

/// Makes missing keys, then pushes every account that differs from its files.
///
/// # Errors
/// When the plan would cut somebody off and `destructive` refuses that, when a key is unusable, or
/// when the server refuses a push; accounts pushed before that stay pushed, and a repetition does
/// the rest.
pub async fn apply(
    server: &AccountServer,
    declared: &Declared,
    keys: &KeyDir,
    destructive: Destructive,
) -> Result<Applied, AccountsError> {
    let _lock = lock::wait(keys).await?;
    let (plan, steps) = steps(server, declared, keys).await?;
    if destructive == Destructive::Refuse && !plan.destructive().is_empty() {
        return Err(AccountsError::Destructive(Box::new(plan)));
    }
    take(server, keys, plan, steps).await
}

/// As [`apply`] for these tenants alone: whatever else differs stays as it is. Never removes one.
///
/// # Errors
/// As [`apply`]; a change of a tenant that is there already may cut somebody off, and is refused.
pub async fn apply_tenants(
    server: &AccountServer,
    tenants: &[&DeclaredAccount],
    keys: &KeyDir,
) -> Result<Applied, AccountsError> {
    let _lock = lock::wait(keys).await?;
    let (plan, steps) = pushes(server, tenants, keys, &mut BTreeSet::new()).await?;
    if !plan.destructive().is_empty() {
        return Err(AccountsError::Destructive(Box::new(plan)));
    }
    take(server, keys, plan, steps).await
}

/// Signs everything, then pushes and deletes.
async fn take(
    server: &AccountServer,
    keys: &KeyDir,
    plan: Plan,
    steps: Vec<Step<'_>>,
) -> Result<Applied, AccountsError> {
    let signer = keys.operator_signing()?;
    let (mut pushes, mut deletions) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Push { declared, replaces } => {
                claims::ensure_keys(declared, keys)?;
                let mut wanted = claims::wanted(declared, keys)?;
                let mut issued_at = UnixSeconds::now();
                if let Some(replaced) = replaces {
                    claims::keep_shut_out(&mut wanted.body, &replaced.body);
                    issued_at = claims::later_than(replaced.issued_at);
                }
                let sign = |source| AccountsError::Sign { account: declared.title(), source };
                let jwt =
                    claims::sign(&wanted.subject, &declared.name, issued_at, wanted.body, &signer)
                        .map_err(sign)?;
                pushes.push((declared.title(), jwt));
            }
            Step::Delete { account, key } => {
                let title = format!("account {account}");
                deletions.push((title, deletion(key, &signer)?));
            }
        }
    }
    let (pushed, deleted) = (pushes.len(), deletions.len());
    for (title, jwt) in pushes {
        server.push(&title, jwt).await?;
    }
    for (title, order) in deletions {
        server.delete(&title, order).await?;
    }
    Ok(Applied { plan, pushed, deleted })
}

pub(super) fn deletion(account: PublicKey, signer: &SecretKey) -> Result<String, AccountsError> {
    let title = account.to_string();
    Unsigned {
        subject: signer.public().clone(),
        name: String::new(),
        issued_at: UnixSeconds::now(),
        expires: None,
        body: AccountDeletion::new(vec![account]),
    }
    .sign(signer)
    .map_err(|source| AccountsError::Sign { account: title, source })
}
