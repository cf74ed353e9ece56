//! The difference between the files and what the server holds.

use std::collections::BTreeSet;

use identity::{Account, AccountName, KeyDir, PublicKey, Verified};
use serde_json::{Value, json};

use super::claims::{self, Wanted};
use super::declared::{Declared, DeclaredAccount};
use super::difference::{self, Side};
use super::error::AccountsError;
use super::server::AccountServer;
use crate::plan::{Change, Effect, Plan};

/// One account that differs.
pub(super) enum Step<'a> {
    /// To be pushed.
    Push { declared: &'a DeclaredAccount, replaces: Option<Box<Verified<Account>>> },
    /// To be deleted: its file is gone.
    Delete { account: AccountName, key: PublicKey },
}

/// Shows what [`super::apply`] would do. Changes nothing, neither here nor at the server.
///
/// # Errors
/// When a key is unusable or the server does not answer.
pub async fn plan(
    server: &AccountServer,
    declared: &Declared,
    keys: &KeyDir,
) -> Result<Plan, AccountsError> {
    Ok(steps(server, declared, keys).await?.0)
}

pub(super) async fn steps<'a>(
    server: &AccountServer,
    declared: &'a Declared,
    keys: &KeyDir,
) -> Result<(Plan, Vec<Step<'a>>), AccountsError> {
    let accounts: Vec<&DeclaredAccount> = declared.all().collect();
    let mut known = BTreeSet::new();
    let (mut plan, mut steps) = pushes(server, &accounts, keys, &mut known).await?;
    for (account, held) in removed(server, declared, keys, &mut known).await? {
        plan.changes.push(removal(account, &held));
        steps.push(Step::Delete { account, key: held.subject });
    }
    plan.notes.extend(reconnecting(&plan.changes));
    for key in server.list().await? {
        if !known.contains(&key) {
            let note = format!("account {key} has no key here: left alone");
            plan.notes.push(note);
        }
    }
    Ok((plan, steps))
}

/// What must be pushed of these accounts; the keys of those that have one are added to `known`.
pub(super) async fn pushes<'a>(
    server: &AccountServer,
    accounts: &[&'a DeclaredAccount],
    keys: &KeyDir,
    known: &mut BTreeSet<PublicKey>,
) -> Result<(Plan, Vec<Step<'a>>), AccountsError> {
    let signer = keys.operator_signing()?.public().clone();
    let (mut plan, mut steps) = (Plan::default(), Vec::new());
    let mut wanted: Vec<Option<Wanted>> = Vec::new();
    for account in accounts {
        let has_key = keys.has_account(account.account);
        wanted.push(if has_key { Some(claims::wanted(account, keys)?) } else { None });
    }
    let subjects: Vec<PublicKey> = wanted.iter().flatten().map(|one| one.subject.clone()).collect();
    known.extend(subjects.iter().cloned());
    let mut held = server.lookup_all(subjects).await?.into_iter();

    for (account, mut wanted) in accounts.iter().copied().zip(wanted) {
        let held = wanted.as_ref().and_then(|_| held.next()).flatten();
        let changes = match (&mut wanted, &held) {
            (Some(wanted), Some(held)) => {
                claims::keep_shut_out(&mut wanted.body, &held.body);
                if held.body.is_suspended() {
                    plan.notes.push(format!("{} is suspended and stays so", account.title()));
                }
                changes(account, wanted, held, &signer)
            }
            _ => vec![creation(account)],
        };
        if !changes.is_empty() {
            steps.push(Step::Push { declared: account, replaces: held.map(Box::new) });
        }
        plan.changes.extend(changes);
    }
    Ok((plan, steps))
}

fn changes(
    account: &DeclaredAccount,
    wanted: &Wanted,
    held: &Verified<Account>,
    signer: &PublicKey,
) -> Vec<Change> {
    let title = account.title();
    let before = Side {
        name: &held.name,
        issuer: &held.issuer,
        expires: held.expires.map(|at| at.as_i64()),
        body: &held.body,
    };
    let after = Side { name: &account.name, issuer: signer, expires: None, body: &wanted.body };
    let mut changes = difference::between(&title, &before, &after);
    for role in &wanted.roles_without_key {
        changes.push(Change {
            object: title.clone(),
            field: format!("signing_keys.{role}"),
            before: None,
            after: account.roles.get(role).map(|role| json!(role)),
            effect: Effect::Create,
        });
    }
    changes
}

fn creation(account: &DeclaredAccount) -> Change {
    let roles: Vec<&String> = account.roles.keys().collect();
    Change {
        object: account.title(),
        field: String::new(),
        before: None,
        after: Some(json!({ "name": account.name, "limits": account.limits, "roles": roles })),
        effect: Effect::Create,
    }
}

fn removal(account: AccountName, held: &Verified<Account>) -> Change {
    Change {
        object: format!("account {account} ({})", held.name),
        field: String::new(),
        before: Some(json!({ "name": held.name, "key": held.subject })),
        after: None::<Value>,
        effect: Effect::Destructive {
            loses: "every connection of the tenant; its file is gone".to_owned(),
        },
    }
}

/// The server ends every connection of a role whose template changes, however slightly.
fn reconnecting(changes: &[Change]) -> Vec<String> {
    let role = |change: &Change| {
        let rest = change.field.strip_prefix("signing_keys.")?;
        rest.split_once('.').map(|(role, _)| role.to_owned())
    };
    let roles: BTreeSet<String> = changes.iter().filter_map(role).collect();
    let note = |role| {
        format!("role {role} changes: its connected users are disconnected once and come back")
    };
    roles.into_iter().map(note).collect()
}

/// Tenants that have a key here and are at the server, but are no longer declared.
async fn removed(
    server: &AccountServer,
    declared: &Declared,
    keys: &KeyDir,
    known: &mut BTreeSet<PublicKey>,
) -> Result<Vec<(AccountName, Verified<Account>)>, AccountsError> {
    let declared: BTreeSet<AccountName> = declared.all().map(|one| one.account).collect();
    let mut accounts = keys.accounts()?;
    accounts.retain(|account| !declared.contains(account) && keys.has_account(*account));
    let mut subjects = Vec::new();
    for account in &accounts {
        subjects.push(keys.account(*account)?.public().clone());
    }
    known.extend(subjects.iter().cloned());
    let held = server.lookup_all(subjects).await?;
    let found = accounts.into_iter().zip(held);
    Ok(found.filter_map(|(account, held)| held.map(|held| (account, held))).collect())
}
