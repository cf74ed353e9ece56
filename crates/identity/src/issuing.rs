//! The issuing directory: what a service needs to issue devices' JWTs, and nothing beyond.
//!
//! ```text
//! {tenant}/account.pub   the tenant's account, by its public key
//! {tenant}/device.nk     signs users of role `device` of that account
//! commands.pub           public keys that sign commands, one a line, newest first
//! ```
//! Promises: whoever takes it away can issue devices and nobody else, and change no account; it is
//! 0700 with files of 0600, or nothing is read; every question reads the files anew, so that a new
//! tenant needs no restart. Refuses: a tenant that is not in it.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::{DeviceId, TenantId};
use secrecy::{ExposeSecret as _, SecretString};

use crate::issue::sign_scoped;
use crate::key_dir::load;
use crate::key_file;
use crate::{
    AccountName, DeviceRole, IssueError, KeyDir, KeyDirError, KeyFileError, KeyKind, PublicKey,
    UnixSeconds,
};

const ACCOUNT: &str = "account.pub";
const SIGNER: &str = "device.nk";
const COMMANDS: &str = "commands.pub";

/// An opened issuing directory.
#[derive(Clone, Debug)]
pub struct IssuingKeys {
    root: PathBuf,
}

/// What an export changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Tenants whose keys were written.
    pub written: usize,
    /// Tenants whose keys were removed.
    pub removed: usize,
}

impl IssuingKeys {
    /// Opens an issuing directory.
    ///
    /// # Errors
    /// When it is absent or open to others.
    pub fn open(root: &Path) -> Result<Self, KeyDirError> {
        key_file::check_directory(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Issues the JWT of a device of role `device` that sent the public half of its key pair.
    ///
    /// # Errors
    /// When the tenant is not in the directory, a file of it is unusable, or `public` is no user key.
    pub fn issue_device_jwt(
        &self,
        tenant: TenantId,
        device: DeviceId,
        public: PublicKey,
        expires: UnixSeconds,
    ) -> Result<String, IssueError> {
        key_file::check_directory(&self.root).map_err(KeyDirError::from)?;
        let directory = self.root.join(tenant.to_string());
        let account = read_public(&directory.join(ACCOUNT))?;
        let account = account.expect_kind(KeyKind::Account).map_err(IssueError::PublicKey)?;
        let signer = load(&directory.join(SIGNER), KeyKind::Account)?;
        let name = device.to_string();
        sign_scoped(AccountName::Tenant(tenant), account, &signer, &name, public, Some(expires))
    }

    /// Public keys that sign commands, newest first.
    ///
    /// # Errors
    /// When the file is unusable.
    pub fn command_keys(&self) -> Result<Vec<PublicKey>, KeyDirError> {
        let path = self.root.join(COMMANDS);
        let text = match key_file::read(&path) {
            Ok(text) => text,
            Err(KeyFileError::Absent(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let keys = text.expose_secret().lines().map(str::parse).collect::<Result<_, _>>();
        keys.map_err(|source| KeyDirError::Key { path, source })
    }

    /// Makes `root` hold what `keys` has of these tenants, and of no other.
    ///
    /// # Errors
    /// When a key is missing or a file cannot be written.
    pub fn export(
        keys: &KeyDir,
        root: &Path,
        tenants: &[TenantId],
    ) -> Result<Exported, KeyDirError> {
        key_file::ensure_directory(root)?;
        let mut exported = Exported::default();
        for tenant in tenants {
            let account = AccountName::Tenant(*tenant);
            let directory = root.join(tenant.to_string());
            let public = SecretString::from(keys.account(account)?.public().as_str());
            let signer = keys.role(account, DeviceRole::Current.name())?;
            key_file::ensure_directory(&directory)?;
            let account_changed = write_changed(&directory.join(ACCOUNT), &public)?;
            let signer_changed = write_changed(&directory.join(SIGNER), signer.seed())?;
            exported.written += usize::from(account_changed || signer_changed);
        }
        let commands: Vec<String> =
            keys.command_keys()?.iter().map(|key| key.public().to_string()).collect();
        write_changed(&root.join(COMMANDS), &SecretString::from(commands.join("\n")))?;
        exported.removed = remove_others(root, tenants)?;
        Ok(exported)
    }
}

/// Takes away the tenants that are not among `tenants`.
fn remove_others(root: &Path, tenants: &[TenantId]) -> Result<usize, KeyDirError> {
    let failed = |action| {
        let path = root.to_owned();
        move |source| KeyFileError::Io { action, path, source }
    };
    let mut removed = 0;
    for entry in fs::read_dir(root).map_err(failed("listing"))? {
        let entry = entry.map_err(failed("listing"))?;
        let tenant = entry.file_name().to_str().and_then(|name| name.parse::<TenantId>().ok());
        if tenant.is_some_and(|tenant| !tenants.contains(&tenant)) {
            fs::remove_dir_all(entry.path()).map_err(failed("removing from"))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn read_public(path: &Path) -> Result<PublicKey, KeyDirError> {
    match key_file::read(path) {
        Ok(text) => text
            .expose_secret()
            .parse()
            .map_err(|source| KeyDirError::Key { path: path.to_owned(), source }),
        Err(KeyFileError::Absent(path)) => Err(KeyDirError::Missing {
            what: "the tenant's issuing key".to_owned(),
            path,
            remedy: "set WEGWEISER_ISSUING_KEYS and run: wegweiser accounts apply",
        }),
        Err(error) => Err(error.into()),
    }
}

/// Writes a file unless it says that already; whether it did.
fn write_changed(path: &Path, content: &SecretString) -> Result<bool, KeyDirError> {
    match key_file::read(path) {
        Ok(there) if there.expose_secret() == content.expose_secret().trim() => return Ok(false),
        Ok(_) | Err(KeyFileError::Absent(_)) => {}
        Err(error) => return Err(error.into()),
    }
    key_file::replace(path, content)?;
    Ok(true)
}
