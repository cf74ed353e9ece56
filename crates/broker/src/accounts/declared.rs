//! Everything that the files declare, read and checked as a whole.
//!
//! Promises: one `Declared` is consistent in itself; its tenants are distinct and carry their UUID
//! wherever the template says `{tenant}`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use identity::{AccountLimits, AccountName, Export};
use protocol::TenantId;

use super::check;
use super::error::{Mistake, Mistakes};
use super::files::{self, AccountFile, ImportEntry, Role, TenantFile};

/// What stands for a tenant's UUID in the template.
const PLACEHOLDER: &str = "{tenant}";
/// Longest name of a tenant, in characters.
const TENANT_NAME_MAX_CHARS: usize = 128;

/// The accounts that should be at the server.
#[derive(Clone, Debug)]
pub struct Declared {
    system: DeclaredAccount,
    backend: DeclaredAccount,
    tenants: Vec<DeclaredAccount>,
}

/// One account that should be at the server.
#[derive(Clone, Debug)]
pub struct DeclaredAccount {
    /// Which.
    pub account: AccountName,
    /// The file that says so.
    pub file: PathBuf,
    /// Its name for people.
    pub name: String,
    /// Text for people.
    pub description: String,
    /// What it may use.
    pub limits: AccountLimits,
    /// What it offers.
    pub exports: Vec<Export>,
    /// What it takes from others.
    pub imports: Vec<ImportEntry>,
    /// Who may be issued as a user.
    pub roles: BTreeMap<String, Role>,
}

impl Declared {
    /// Reads `system.json`, `backend.json` and `tenant.template.json` of `accounts`, and every
    /// `*.json` of `tenants`.
    ///
    /// # Errors
    /// Every mistake of every file.
    pub fn load(accounts: &Path, tenants: &Path) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let paths =
            ["system.json", "backend.json", "tenant.template.json"].map(|name| accounts.join(name));
        let [system, backend, template] =
            paths.each_ref().map(|path| files::read::<AccountFile>(path, &mut mistakes));
        let listed = read_tenants(tenants, &mut mistakes);
        let (Some(system), Some(backend), Some(template)) = (system, backend, template) else {
            return Err(Mistakes(mistakes));
        };

        check::account(&paths[0], &system, None, &mut mistakes);
        check::account(&paths[1], &backend, None, &mut mistakes);
        let sample = filled(&template, "00000000-0000-0000-0000-000000000000");
        check::account(&paths[2], &sample, Some(&backend), &mut mistakes);

        let tenants = listed
            .into_iter()
            .map(|(file, tenant)| declare_tenant(file, tenant, &template, &mut mistakes))
            .collect();
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
        let [system_path, backend_path, _] = paths;
        Ok(Self {
            system: declare(AccountName::System, system_path, "SYS", system),
            backend: declare(AccountName::Backend, backend_path, "BACKEND", backend),
            tenants,
        })
    }

    /// The servers' own account.
    #[must_use]
    pub const fn system(&self) -> &DeclaredAccount {
        &self.system
    }

    /// The account that owns every stream.
    #[must_use]
    pub const fn backend(&self) -> &DeclaredAccount {
        &self.backend
    }

    /// The tenants' accounts, by file name.
    #[must_use]
    pub fn tenants(&self) -> &[DeclaredAccount] {
        &self.tenants
    }

    /// One tenant's account.
    #[must_use]
    pub fn tenant(&self, tenant: TenantId) -> Option<&DeclaredAccount> {
        let wanted = AccountName::Tenant(tenant);
        self.tenants.iter().find(|declared| declared.account == wanted)
    }

    /// Every account, exporters before importers.
    pub fn all(&self) -> impl Iterator<Item = &DeclaredAccount> {
        [&self.system, &self.backend].into_iter().chain(&self.tenants)
    }
}

impl DeclaredAccount {
    /// `account BACKEND`, or `account {uuid} ({name})` for a tenant's.
    #[must_use]
    pub fn title(&self) -> String {
        match self.account {
            AccountName::Tenant(tenant) => format!("account {tenant} ({})", self.name),
            other => format!("account {other}"),
        }
    }
}

fn declare(account: AccountName, file: PathBuf, name: &str, from: AccountFile) -> DeclaredAccount {
    DeclaredAccount {
        account,
        file,
        name: name.to_owned(),
        description: from.description,
        limits: from.limits,
        exports: from.exports,
        imports: from.imports,
        roles: from.roles,
    }
}

fn declare_tenant(
    file: PathBuf,
    tenant: TenantFile,
    template: &AccountFile,
    mistakes: &mut Vec<Mistake>,
) -> DeclaredAccount {
    let mut account = filled(template, &tenant.tenant.to_string());
    let own = &tenant.limits;
    for (limit, own) in [
        (&mut account.limits.conn, own.conn),
        (&mut account.limits.payload, own.payload),
        (&mut account.limits.subs, own.subs),
        (&mut account.limits.data, own.data),
    ] {
        *limit = own.unwrap_or(*limit);
    }
    let mut notes = check::Notes { path: &file, mistakes };
    if own != &files::TenantLimits::default() {
        check::limits("limits", &account.limits, &mut notes);
    }
    let name = tenant.name.trim();
    if name.is_empty() || name.chars().count() > TENANT_NAME_MAX_CHARS {
        let problem = format!("is {name:?}; give 1 to {TENANT_NAME_MAX_CHARS} characters");
        notes.note("name", problem);
    }
    declare(AccountName::Tenant(tenant.tenant), file, name, account)
}

fn read_tenants(directory: &Path, mistakes: &mut Vec<Mistake>) -> Vec<(PathBuf, TenantFile)> {
    let mut seen: BTreeMap<TenantId, PathBuf> = BTreeMap::new();
    let mut tenants = Vec::new();
    for path in files::tenant_files(directory, mistakes) {
        let Some(tenant) = files::read::<TenantFile>(&path, mistakes) else {
            continue;
        };
        if let Some(other) = seen.insert(tenant.tenant, path.clone()) {
            let problem = format!("{} is declared by {} too", tenant.tenant, other.display());
            let field = "tenant".to_owned();
            mistakes.push(Mistake { file: path, field, problem });
            continue;
        }
        tenants.push((path, tenant));
    }
    tenants
}

/// The template with a tenant's UUID in it.
fn filled(template: &AccountFile, tenant: &str) -> AccountFile {
    let mut account = template.clone();
    let fill = |text: &mut String| *text = text.replace(PLACEHOLDER, tenant);
    for import in &mut account.imports {
        fill(&mut import.subject);
        fill(&mut import.local_subject);
    }
    for role in account.roles.values_mut() {
        let (publish, subscribe) = (&mut role.template.publish, &mut role.template.subscribe);
        for list in
            [&mut publish.allow, &mut publish.deny, &mut subscribe.allow, &mut subscribe.deny]
        {
            list.iter_mut().for_each(fill);
        }
    }
    account
}
