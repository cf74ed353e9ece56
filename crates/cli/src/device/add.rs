//! `wegweiser device add`: registers devices and issues their first credentials.
//!
//! Promises: a device that has credentials gets no second ones; `rotate` replaces them. Beside them
//! lie the keys whose commands the device believes. Many at once may be cut off: run again with the
//! same file, it does the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use broker::accounts::Declared;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use identity::DeviceRole;
use protocol::{DeviceId, TenantId, UnixMillis};
use serde::Deserialize;
use storage::Registration;
use uuid::Uuid;

use super::issue::{Life, Role, Wanted, issue, life, pin_command_keys, tell, tell_pinned};
use crate::office::lines;
use crate::office::{Office, find};
use crate::operation::{About, Operation};
use crate::output;

/// Devices between two notes in the audit log.
const CHUNK_DEVICES: usize = 500;
/// Devices that are registered at one time; each waits for the disk.
const DEVICES_IN_FLIGHT: usize = 8;

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Whose device it is (UUID).
    #[arg(long, required_unless_present = "from")]
    tenant: Option<TenantId>,
    /// The device's UUID; without it, a new one is made.
    #[arg(long)]
    device: Option<DeviceId>,
    /// Its name for people.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// How the device takes its commands.
    #[arg(long, value_enum, default_value_t = Role::Device)]
    role: Role,
    /// How long the credentials are good for, such as 90d, or none: without an end; without it,
    /// WEGWEISER_DEVICE_LIFETIME_SECONDS, and for role device-first-generation none.
    #[arg(long, value_name = "SPAN", value_parser = life)]
    expires: Option<Life>,
    /// The credentials file to write; it must not exist.
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    creds_out: Option<PathBuf>,
    /// Add many: a file with one device a line, such as {"tenant": "…", "device": "…"}; "name" and
    /// "role" may follow.
    #[arg(long, value_name = "FILE", requires = "creds_dir",
          conflicts_with_all = ["tenant", "device", "name", "role", "creds_out"])]
    from: Option<PathBuf>,
    /// With --from: where to write credentials, {tenant}/{device}.creds.
    #[arg(long, value_name = "DIRECTORY", requires = "from")]
    creds_dir: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    tenant: TenantId,
    device: DeviceId,
    #[serde(default)]
    name: String,
    #[serde(default)]
    role: Role,
}

struct New {
    tenant: TenantId,
    device: DeviceId,
    name: String,
    role: DeviceRole,
    path: PathBuf,
}

impl New {
    /// It renews its credentials and believes signatures.
    fn is_current(&self) -> bool {
        self.role == DeviceRole::Current
    }
}

impl Add {
    fn wanted(&self) -> anyhow::Result<Vec<New>> {
        if let (Some(from), Some(directory)) = (&self.from, &self.creds_dir) {
            let new = |Line { tenant, device, name, role }| {
                let path = directory.join(tenant.to_string()).join(format!("{device}.creds"));
                New { tenant, device, name, role: role.into(), path }
            };
            return Ok(lines::read(from)?.into_iter().map(new).collect());
        }
        let (Some(tenant), Some(path)) = (self.tenant, self.creds_out.clone()) else {
            bail!("give --tenant and --creds-out, or --from and --creds-dir");
        };
        let device = self.device.unwrap_or_else(|| DeviceId::new(Uuid::now_v7()));
        Ok(vec![New { tenant, device, name: self.name.clone(), role: self.role.into(), path }])
    }
}

pub(super) async fn run(command: &Add) -> anyhow::Result<ExitCode> {
    let office = Office::open()?;
    let declared = office.declared()?;
    let wanted = command.wanted()?;
    let tenants: BTreeSet<TenantId> = wanted.iter().map(|new| new.tenant).collect();
    for tenant in tenants {
        know(&office, &declared, tenant).await?;
    }
    let many = command.from.is_some();
    let mut pinned = Pinned::default();
    for chunk in wanted.chunks(CHUNK_DEVICES) {
        let mut about = Vec::new();
        let mut left = Vec::new();
        for new in chunk {
            pinned.pin(&office, new)?;
            // Only a run that was cut off meets its own files.
            if many && new.path.exists() {
                continue;
            }
            left.push(new);
            about.push(About::device(new.tenant, new.device).with("role", new.role.name()));
        }
        let operation = Operation::begin(&office.records, "device add", about).await?;
        let added = futures::stream::iter(&left)
            .map(|new| add(&office, new, command.expires))
            .buffer_unordered(DEVICES_IN_FLIGHT)
            .try_collect::<Vec<Option<UnixMillis>>>();
        let ends = operation.finish(added.await).await?;
        for new in chunk {
            output::text(&new.device.to_string())?;
        }
        if let ([new], [end], false) = (&*left, &*ends, many) {
            tell(&new.path, new.role, *end);
        }
    }
    pinned.tell();
    Ok(ExitCode::SUCCESS)
}

/// Folders into which the keys that sign commands were written.
#[derive(Default)]
struct Pinned(BTreeMap<PathBuf, PathBuf>);

impl Pinned {
    /// Writes them beside a device's credentials, once a folder.
    fn pin(&mut self, office: &Office, new: &New) -> anyhow::Result<()> {
        let folder = new.path.parent().unwrap_or(Path::new("")).to_owned();
        if !new.is_current() || self.0.contains_key(&folder) {
            return Ok(());
        }
        make_parent(&new.path)?;
        self.0.insert(folder, pin_command_keys(office, &new.path)?);
        Ok(())
    }

    fn tell(&self) {
        let folders = self.0.len();
        match self.0.values().next() {
            None => {}
            Some(file) if folders == 1 => tell_pinned(file),
            Some(_) => output::note(&format!(
                "command keys: a file in each of {folders} folders; keep it beside the credentials"
            )),
        }
    }
}

/// Makes sure that the registry has the tenant's row: a tenant may be declared by its file alone.
async fn know(office: &Office, declared: &Declared, tenant: TenantId) -> anyhow::Result<()> {
    let found = find(declared, tenant)?;
    let ensured = office.records.ensure_tenant(tenant, &found.name).await;
    ensured.context("registering the tenant")
}

async fn add(
    office: &Office,
    new: &New,
    asked: Option<Life>,
) -> anyhow::Result<Option<UnixMillis>> {
    let New { tenant, device, ref name, role, ref path } = *new;
    let wanted = Registration { tenant, device, name, role: role.name() };
    office.records.register_device(wanted).await?;
    let there = office.records.credentials(device).await.context("reading the registry")?;
    if !there.is_empty() {
        bail!(
            "device {device} has credentials; to replace them run: wegweiser device rotate {device}"
        );
    }
    make_parent(path)?;
    let life = Life::or_usual(asked, office.accounts.device_lifetime, role);
    issue(office, &Wanted { tenant, device, role, life, path }).await
}

fn make_parent(path: &Path) -> anyhow::Result<()> {
    match path.parent() {
        Some(parent) => {
            std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))
        }
        None => Ok(()),
    }
}
