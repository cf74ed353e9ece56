//! The key directory: every secret of the operator, in files that only its owner reads.
//!
//! ```text
//! operator/identity.nk                  signs operator.jwt once; may leave the machine afterwards
//! operator/signing.nk                   signs accounts, every day
//! operator/operator.jwt                 what servers trust
//! accounts/{SYS|BACKEND|tenant}/identity.nk      names the account; issues nobody
//! accounts/{…}/first.jwt                SYS and BACKEND as servers first see them
//! accounts/{…}/roles/{role}.nk          issues users of that role and of no other
//! commands/{n}.nk                       signs commands to devices
//! ```
//! Promises: directories are 0700 and files 0600 or nothing is read; no file is ever overwritten,
//! and none removed but by [`KeyDir::remove_account`];
//! whoever changes accounts at a server holds [`KeyDir::try_lock`]. Refuses: to invent a key that is
//! asked for and missing, other than in the `ensure` functions.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::key_file::{self, KeyFileError};
use crate::{AccountName, KeyError, KeyKind, SecretKey};

/// An opened key directory.
#[derive(Debug)]
pub struct KeyDir {
    root: PathBuf,
}

/// The sole right, on this machine, to change accounts at a server. Ends when dropped.
#[derive(Debug)]
pub struct KeyDirLock {
    _file: File,
}

/// A key directory, or a file in it, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyDirError {
    /// Not there, open to others, or unreadable.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A file that holds no key of the right kind.
    #[error("{} holds no usable key; restore it from a copy", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A key that is needed and missing.
    #[error("{what} is not in the key directory ({} is absent); {remedy}", path.display())]
    Missing {
        /// Which key.
        what: String,
        /// Where it should be.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// A role's name that is no plain word.
    #[error("role {0:?} is no file name; use letters, digits, - and _")]
    RoleName(String),
}

impl KeyDir {
    /// Opens a key directory.
    ///
    /// # Errors
    /// When it is absent or open to others.
    pub fn open(root: &Path) -> Result<Self, KeyDirError> {
        key_file::check_directory(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Opens a key directory, making it (0700) where there is none; its parent must exist.
    ///
    /// # Errors
    /// When it cannot be made or is open to others.
    pub fn open_or_create(root: &Path) -> Result<Self, KeyDirError> {
        key_file::ensure_directory(root)?;
        Self::open(root)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Takes the sole right to change accounts at a server, unless somebody else has it now.
    ///
    /// # Errors
    /// When the lock file cannot be opened or locked.
    pub fn try_lock(&self) -> Result<Option<KeyDirLock>, KeyDirError> {
        let path = self.root.join(".lock");
        let file = key_file::open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(KeyDirLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => {
                Err(KeyFileError::Io { action: "locking", path, source }.into())
            }
        }
    }

    /// The operator's identity key. Absent once it was taken off the machine.
    ///
    /// # Errors
    /// When it is missing or unusable.
    pub fn operator_identity(&self) -> Result<SecretKey, KeyDirError> {
        self.key(
            &self.operator_identity_path(),
            KeyKind::Operator,
            || "the operator's identity key".to_owned(),
            "bring it back for this step; day-to-day work does not need it",
        )
    }

    /// The operator's signing key: signs accounts.
    ///
    /// # Errors
    /// When it is missing or unusable.
    pub fn operator_signing(&self) -> Result<SecretKey, KeyDirError> {
        self.key(
            &self.operator_signing_path(),
            KeyKind::Operator,
            || "the operator's signing key".to_owned(),
            "restore it from a copy; to replace it, bring operator/identity.nk back, move \
             operator/operator.jwt away and run: wegweiser accounts bootstrap",
        )
    }

    /// The operator's JWT, as servers are configured with it.
    ///
    /// # Errors
    /// When it is missing or unreadable.
    pub fn operator_jwt(&self) -> Result<String, KeyDirError> {
        Ok(key_file::read(&self.operator_jwt_path())?.expose_secret().to_owned())
    }

    /// Keeps the operator's JWT; one that is there stays.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_operator_jwt(&self, jwt: &str) -> Result<(), KeyDirError> {
        keep(&self.operator_jwt_path(), jwt)
    }

    /// The JWT with which servers first see `SYS` or `BACKEND`.
    ///
    /// # Errors
    /// When it is missing or unreadable.
    pub fn first_jwt(&self, account: AccountName) -> Result<String, KeyDirError> {
        let path = self.account_path(account).join("first.jwt");
        Ok(key_file::read(&path)?.expose_secret().to_owned())
    }

    /// Keeps the JWT with which servers first see an account; one that is there stays.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_first_jwt(&self, account: AccountName, jwt: &str) -> Result<(), KeyDirError> {
        keep(&self.account_path(account).join("first.jwt"), jwt)
    }

    /// An account's identity key; its public half is the account's name at the servers.
    ///
    /// # Errors
    /// When it is missing or unusable.
    pub fn account(&self, account: AccountName) -> Result<SecretKey, KeyDirError> {
        self.key(
            &self.account_path(account).join("identity.nk"),
            KeyKind::Account,
            || format!("the key of account {account}"),
            "declare the account and run: wegweiser accounts apply",
        )
    }

    /// The signing key of one role of an account.
    ///
    /// # Errors
    /// When it is missing or unusable.
    pub fn role(&self, account: AccountName, role: &str) -> Result<SecretKey, KeyDirError> {
        self.key(
            &self.role_path(account, role)?,
            KeyKind::Account,
            || format!("the signing key of role {role} of account {account}"),
            "declare the role and run: wegweiser accounts apply",
        )
    }

    /// Whether the operator's identity key is on this machine.
    #[must_use]
    pub fn has_operator_identity(&self) -> bool {
        self.operator_identity_path().exists()
    }

    /// Whether an account has a key here.
    #[must_use]
    pub fn has_account(&self, account: AccountName) -> bool {
        self.account_path(account).join("identity.nk").exists()
    }

    /// Removes every key of a tenant's account, for good; `false`: there was none. Keys of `SYS` and
    /// `BACKEND` stay, for nothing would work without them.
    ///
    /// # Errors
    /// When a file cannot be removed; a repetition does the rest.
    pub fn remove_account(&self, account: AccountName) -> Result<bool, KeyDirError> {
        if !matches!(account, AccountName::Tenant(_)) {
            return Ok(false);
        }
        let path = self.account_path(account);
        match fs::remove_dir_all(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(KeyFileError::Io { action: "removing", path, source }.into()),
        }
    }

    /// Whether a role of an account has its signing key here.
    ///
    /// # Errors
    /// When the role's name is no plain word.
    pub fn has_role(&self, account: AccountName, role: &str) -> Result<bool, KeyDirError> {
        Ok(self.role_path(account, role)?.exists())
    }

    /// Whether the operator's JWT was made.
    #[must_use]
    pub fn has_operator_jwt(&self) -> bool {
        self.operator_jwt_path().exists()
    }

    /// Whether the JWT with which servers first see an account was made.
    #[must_use]
    pub fn has_first_jwt(&self, account: AccountName) -> bool {
        self.account_path(account).join("first.jwt").exists()
    }

    /// The accounts that have a directory here, in order.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn accounts(&self) -> Result<Vec<AccountName>, KeyDirError> {
        let path = self.root.join("accounts");
        let failed = |source| KeyFileError::Io { action: "listing", path: path.clone(), source };
        let mut names = Vec::new();
        if !path.exists() {
            return Ok(names);
        }
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(Ok(name)) = entry.file_name().to_str().map(str::parse) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes the operator's identity and signing keys in a new key directory.
    ///
    /// # Errors
    /// When a key cannot be written, or one that is there is unusable; when one is missing that
    /// servers trust already, for a new one would not be trusted.
    pub fn ensure_operator(&self) -> Result<(), KeyDirError> {
        key_file::ensure_directory(&self.root.join("operator"))?;
        // With the JWT made, a missing identity key was taken away on purpose, and a missing signing
        // key is lost. Without it, the signing key is made last.
        if self.operator_jwt_path().exists() {
            return self.operator_signing().map(drop);
        }
        if self.operator_signing_path().exists() {
            return self.operator_identity().map(drop);
        }
        ensure(&self.operator_identity_path(), KeyKind::Operator)?;
        ensure(&self.operator_signing_path(), KeyKind::Operator)?;
        Ok(())
    }

    /// Makes an account's key where it is missing.
    ///
    /// # Errors
    /// When the key cannot be written, or the one that is there is unusable.
    pub fn ensure_account(&self, account: AccountName) -> Result<SecretKey, KeyDirError> {
        let directory = self.account_path(account);
        key_file::ensure_directory(&self.root.join("accounts"))?;
        key_file::ensure_directory(&directory)?;
        key_file::ensure_directory(&directory.join("roles"))?;
        ensure(&directory.join("identity.nk"), KeyKind::Account)
    }

    /// Makes a role's signing key where it is missing; the account's directory must exist.
    ///
    /// # Errors
    /// When the key cannot be written, or the one that is there is unusable.
    pub fn ensure_role(&self, account: AccountName, role: &str) -> Result<SecretKey, KeyDirError> {
        ensure(&self.role_path(account, role)?, KeyKind::Account)
    }

    fn key(
        &self,
        path: &Path,
        kind: KeyKind,
        what: impl FnOnce() -> String,
        remedy: &'static str,
    ) -> Result<SecretKey, KeyDirError> {
        key_file::check_directory(&self.root)?;
        match load(path, kind) {
            Err(KeyDirError::File(KeyFileError::Absent(path))) => {
                Err(KeyDirError::Missing { what: what(), path, remedy })
            }
            other => other,
        }
    }

    fn operator_identity_path(&self) -> PathBuf {
        self.root.join("operator/identity.nk")
    }

    fn operator_signing_path(&self) -> PathBuf {
        self.root.join("operator/signing.nk")
    }

    fn operator_jwt_path(&self) -> PathBuf {
        self.root.join("operator/operator.jwt")
    }

    fn account_path(&self, account: AccountName) -> PathBuf {
        self.root.join("accounts").join(account.to_string())
    }

    fn role_path(&self, account: AccountName, role: &str) -> Result<PathBuf, KeyDirError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if role.is_empty() || !role.chars().all(plain) {
            return Err(KeyDirError::RoleName(role.to_owned()));
        }
        Ok(self.account_path(account).join("roles").join(format!("{role}.nk")))
    }
}

pub(crate) fn load(path: &Path, kind: KeyKind) -> Result<SecretKey, KeyDirError> {
    let seed: SecretString = key_file::read(path)?;
    SecretKey::from_seed(seed, kind)
        .map_err(|source| KeyDirError::Key { path: path.to_owned(), source })
}

pub(crate) fn ensure(path: &Path, kind: KeyKind) -> Result<SecretKey, KeyDirError> {
    if path.exists() {
        return load(path, kind);
    }
    let key = SecretKey::generate(kind)
        .map_err(|source| KeyDirError::Key { path: path.to_owned(), source })?;
    match key_file::create(path, key.seed()) {
        Ok(()) => Ok(key),
        // Another process was first; its key is the one.
        Err(KeyFileError::Exists(_)) => load(path, kind),
        Err(error) => Err(error.into()),
    }
}

fn keep(path: &Path, jwt: &str) -> Result<(), KeyDirError> {
    match key_file::create(path, &SecretString::from(jwt)) {
        Ok(()) | Err(KeyFileError::Exists(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[path = "key_dir_tests.rs"]
mod tests;
