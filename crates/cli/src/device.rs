//! `wegweiser device add`: credentials for one device.
//!
//! Promises: the file has mode 0600 and is never written over; a device id that this key directory
//! issued for one tenant is not issued for another, since the id alone names the device's commands.
//! Nothing is sent to a server: it takes the credentials at the device's next connection.

pub(crate) mod label;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use broker::accounts::AccountsSettings;
use clap::{Args, Subcommand, ValueEnum};
use identity::{DeviceRole, KeyDir, issue_device};
use protocol::{DeviceId, TenantId};
use uuid::Uuid;

use crate::{environment, output};

/// Admits devices.
#[derive(Debug, Args)]
pub(crate) struct DeviceCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Issue credentials for a device; prints its UUID.
    Add(Add),
    /// Set or unset labels.
    Label(label::LabelCommand),
}

#[derive(Debug, Args)]
struct Add {
    /// Whose device it is (UUID).
    #[arg(long)]
    tenant: TenantId,
    /// The device's UUID; without it, a new one is made.
    #[arg(long)]
    device: Option<DeviceId>,
    /// How the device takes its commands.
    #[arg(long, value_enum, default_value_t = Role::Device)]
    role: Role,
    /// The credentials file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    creds_out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Pulls its commands from the stream.
    Device,
    /// Subscribes to its command subject.
    DeviceFirstGeneration,
}

impl From<Role> for DeviceRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Device => Self::Current,
            Role::DeviceFirstGeneration => Self::FirstGeneration,
        }
    }
}

pub(crate) async fn run(command: DeviceCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Add(add) => run_add(&add),
        Verb::Label(command) => label::run(command).await,
    }
}

fn run_add(add: &Add) -> anyhow::Result<ExitCode> {
    let settings = environment::read(AccountsSettings::read)?;
    let keys = environment::keys(&settings.keys)?;
    let device = add.device.unwrap_or_else(|| DeviceId::new(Uuid::now_v7()));
    let issued = issue_device(&keys, add.tenant, device, add.role.into(), None);
    let credentials = issued.context("issuing the device's credentials")?;
    register(&keys, add.tenant, device)?;
    credentials.save(&add.creds_out).context("writing the credentials file")?;
    output::text(&device.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Notes whose the device id is, or refuses it where it is another tenant's.
fn register(keys: &KeyDir, tenant: TenantId, device: DeviceId) -> anyhow::Result<()> {
    let directory = keys.path().join("devices");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("making {}", directory.display()))?;
    let path = directory.join(device.to_string());
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            let written = writeln!(file, "{tenant}").and_then(|()| file.sync_all());
            written.with_context(|| format!("writing {}", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let owner = std::fs::read_to_string(&path)
                .with_context(|| format!("reading {}", path.display()))?;
            if owner.trim() != tenant.to_string() {
                bail!(
                    "device {device} was issued for tenant {}; give another --device, or none \
                     for a new one",
                    owner.trim()
                );
            }
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("making {}", path.display())),
    }
}
