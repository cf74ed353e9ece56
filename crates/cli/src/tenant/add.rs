//! `wegweiser tenant add`: writes the tenant's file, registers it and makes its account.
//!
//! Promises: nothing is written before every new file was checked; a file that is there is never
//! written over; other differences between files and broker stay as they are. Once more with the
//! same words does what is left.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use broker::accounts::{
    AccountServer, Declared, DeclaredAccount, TenantFile, TenantLimits, apply_tenants,
};
use clap::Args;
use protocol::TenantId;
use storage::TenantState;
use tempfile::TempDir;
use uuid::Uuid;

use crate::accounts::{issuing, registry};
use crate::office::Office;
use crate::office::lines;
use crate::operation::{About, Operation};
use crate::output;

/// Tenants between two notes in the audit log.
const CHUNK_TENANTS: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its name for people.
    #[arg(long, required_unless_present = "from")]
    name: Option<String>,
    /// Its UUID; without it, a new one is made.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Connections at once; without it, the template's.
    #[arg(long, value_name = "N")]
    conn: Option<i64>,
    /// Bytes a message; without it, the template's.
    #[arg(long, value_name = "BYTES")]
    payload: Option<i64>,
    /// Subscriptions a connection; without it, the template's.
    #[arg(long, value_name = "N")]
    subs: Option<i64>,
    /// Add many: a file with one tenant a line, each as a tenant's file has it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "tenant", "conn", "payload", "subs"])]
    from: Option<PathBuf>,
}

impl Add {
    fn wanted(&self) -> anyhow::Result<Vec<TenantFile>> {
        if let Some(path) = &self.from {
            return lines::read(path);
        }
        Ok(vec![TenantFile {
            tenant: self.tenant.unwrap_or_else(|| TenantId::new(Uuid::now_v7())),
            name: self.name.clone().unwrap_or_default(),
            limits: TenantLimits {
                conn: self.conn,
                payload: self.payload,
                subs: self.subs,
                data: None,
            },
        }])
    }
}

pub(super) async fn run(command: &Add) -> anyhow::Result<ExitCode> {
    let office = Office::open()?;
    let wanted = command.wanted()?;
    let there = office.declared()?;
    let staging = Staging::write(&office, &wanted, &there)?;
    let server = office.server().await?;
    for chunk in wanted.chunks(CHUNK_TENANTS) {
        let declared: Vec<&DeclaredAccount> = chunk
            .iter()
            .filter_map(|one| staging.declared.tenant(one.tenant).or(there.tenant(one.tenant)))
            .collect();
        let about = |one: &TenantFile| About::tenant(one.tenant).with("name", one.name.as_str());
        let about = chunk.iter().map(about).collect();
        let operation = Operation::begin(&office.records, "tenant add", about).await?;
        let added = add(&office, &server, &staging, chunk, &declared).await;
        operation.finish(added).await?;
        for one in chunk {
            output::text(&one.tenant.to_string())?;
        }
    }
    issuing::keep(&office.accounts, &office.declared()?, &office.keys)?;
    Ok(ExitCode::SUCCESS)
}

async fn add(
    office: &Office,
    server: &AccountServer,
    staging: &Staging,
    tenants: &[TenantFile],
    declared: &[&DeclaredAccount],
) -> anyhow::Result<()> {
    for one in tenants {
        let found = office.records.tenant(one.tenant).await.context("reading the registry")?;
        if found.is_some_and(|found| found.state == TenantState::Suspended) {
            bail!(
                "tenant {0} is suspended; run: wegweiser tenant resume {0}, or, where its removal \
                 was cut off, wegweiser tenant remove {0}",
                one.tenant
            );
        }
        staging.release(one.tenant)?;
        let registered = office.records.ensure_tenant(one.tenant, one.name.trim()).await;
        registered.context("registering the tenant")?;
    }
    let applied = apply_tenants(server, declared, &office.keys).await;
    applied
        .context("the file is written, the account is not made; run: wegweiser accounts apply")?;
    let noted = registry::note(&office.records, declared.iter().copied()).await;
    noted.context("noting its limits; run: wegweiser accounts apply")
}

/// New files, checked, and not yet where they count.
struct Staging {
    directory: TempDir,
    tenants: PathBuf,
    declared: Declared,
}

impl Staging {
    fn write(office: &Office, wanted: &[TenantFile], there: &Declared) -> anyhow::Result<Self> {
        let tenants = office.accounts.tenants.clone();
        let directory = tempfile::Builder::new().prefix(".new-").tempdir_in(&tenants);
        let directory =
            directory.with_context(|| format!("making a directory in {}", tenants.display()))?;
        for one in wanted {
            if let Some(found) = there.tenant(one.tenant) {
                same(&found.file, one)?;
                continue;
            }
            let path = directory.path().join(format!("{}.json", one.tenant));
            let text = format!("{}\n", serde_json::to_string_pretty(one)?);
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path);
            let written = file.as_mut().map_err(|error| error.kind().into()).and_then(|file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            });
            written.with_context(|| format!("writing {} (is it given twice?)", path.display()))?;
        }
        let declared = Declared::load(&office.accounts.accounts, directory.path())
            .context("checking the new tenants")?;
        Ok(Self { directory, tenants, declared })
    }

    /// Puts a tenant's file where it counts.
    fn release(&self, tenant: TenantId) -> anyhow::Result<()> {
        let name = format!("{tenant}.json");
        let (from, to) = (self.directory.path().join(&name), self.tenants.join(&name));
        if self.declared.tenant(tenant).is_none() {
            return Ok(());
        }
        // Unlike a renaming, this writes over nothing.
        fs::hard_link(&from, &to).with_context(|| format!("making {}", to.display()))
    }
}

fn same(path: &Path, wanted: &TenantFile) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let there: TenantFile = serde_json::from_str(&text)?;
    if there != *wanted {
        bail!(
            "tenant {} is declared by {} with other words; change that file and run: \
             wegweiser accounts apply",
            wanted.tenant,
            path.display()
        );
    }
    Ok(())
}
