//! From a declaration and the keys to the claims that are signed.

use std::time::Duration;

use identity::{
    Account, AccountName, Import, KeyDir, KeyDirError, PublicKey, Scope, ScopeKind, SecretKey,
    SigningKey, TokenError, UnixSeconds, Unsigned,
};

use super::declared::DeclaredAccount;
use super::files::ImportEntry;

/// What an account should say, as far as its keys exist.
pub(super) struct Wanted {
    /// The account's public key.
    pub(super) subject: PublicKey,
    /// The claims, with every role that has its key.
    pub(super) body: Account,
    /// Roles whose signing key is yet to be made.
    pub(super) roles_without_key: Vec<String>,
}

/// The claims of a declared account whose key exists.
pub(super) fn wanted(declared: &DeclaredAccount, keys: &KeyDir) -> Result<Wanted, KeyDirError> {
    let subject = keys.account(declared.account)?.public().clone();
    let mut body = Account::new(declared.limits.clone());
    body.description.clone_from(&declared.description);
    body.exports.clone_from(&declared.exports);
    if let AccountName::Tenant(tenant) = declared.account {
        body.tags.push(format!("tenant:{tenant}"));
    }
    if !declared.imports.is_empty() {
        let backend = keys.account(AccountName::Backend)?.public().clone();
        body.imports = imports(declared, &backend);
    }
    let mut roles_without_key = Vec::new();
    for (name, role) in &declared.roles {
        if !keys.has_role(declared.account, name)? {
            roles_without_key.push(name.clone());
            continue;
        }
        body.signing_keys.push(SigningKey::Scoped(Box::new(Scope {
            kind: ScopeKind::UserScope,
            key: keys.role(declared.account, name)?.public().clone(),
            role: name.clone(),
            template: role.template.clone().as_template(),
            description: role.description.clone(),
        })));
    }
    body.sort();
    Ok(Wanted { subject, body, roles_without_key })
}

fn imports(declared: &DeclaredAccount, backend: &PublicKey) -> Vec<Import> {
    let import = |entry: &ImportEntry| Import {
        name: entry.name.clone(),
        subject: entry.subject.clone(),
        account: backend.clone(),
        token: String::new(),
        to: String::new(),
        local_subject: entry.local_subject.clone(),
        sharing: entry.sharing,
        share: false,
        allow_trace: false,
    };
    declared.imports.iter().map(import).collect()
}

/// Takes over what the server's claims say beside the files: who is shut out.
pub(super) fn keep_shut_out(body: &mut Account, held: &Account) {
    body.keep_revocations(&held.revocations);
    if held.is_suspended() {
        body.suspend();
    }
}

/// Makes every key that a declared account still needs.
pub(super) fn ensure_keys(declared: &DeclaredAccount, keys: &KeyDir) -> Result<(), KeyDirError> {
    keys.ensure_account(declared.account)?;
    for role in declared.roles.keys() {
        keys.ensure_role(declared.account, role)?;
    }
    Ok(())
}

/// Now, but after `earlier`.
pub(super) fn later_than(earlier: UnixSeconds) -> UnixSeconds {
    UnixSeconds::now().max(earlier.plus(Duration::from_secs(1)))
}

/// Signs an account. `issued_at` must be later than that of the JWT it replaces: of two with the
/// same second, servers that missed one keep theirs.
pub(super) fn sign(
    subject: &PublicKey,
    name: &str,
    issued_at: UnixSeconds,
    body: Account,
    signer: &SecretKey,
) -> Result<String, TokenError> {
    Unsigned { subject: subject.clone(), name: name.to_owned(), issued_at, expires: None, body }
        .sign(signer)
}
