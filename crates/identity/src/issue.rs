//! Issuing users: a name, a role, an end.
//!
//! Promises: a user carries no rights of its own, so its account's template for the role rules and
//! a later change of the template reaches users issued before. Refuses: names that a subject could
//! read as more than one token.

use std::fmt;

use protocol::{DeviceId, TenantId};
use secrecy::SecretString;

use crate::{
    AccountName, Credentials, CredentialsError, KeyDir, KeyDirError, KeyError, KeyKind, PublicKey,
    SecretKey, TokenError, UnixSeconds, Unsigned, User,
};

/// Longest name of a user, in bytes.
const USER_NAME_MAX_BYTES: usize = 64;

/// How a device speaks to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceRole {
    /// Pulls its commands from the stream.
    Current,
    /// Subscribes to its `.command` subject.
    FirstGeneration,
}

/// Why no user was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A key is missing or unusable.
    #[error("a key that issues this user is not at hand")]
    Keys(#[from] KeyDirError),
    /// A name that could stand for several subjects.
    #[error("user name {0:?} is not usable; take 1 to {USER_NAME_MAX_BYTES} of [A-Za-z0-9_-]")]
    Name(String),
    /// The public key is not a user's.
    #[error("the public key cannot be issued a user JWT")]
    PublicKey(#[source] KeyError),
    /// Signing failed.
    #[error("signing the user JWT failed")]
    Token(#[source] TokenError),
    /// JWT and key did not fit.
    #[error("joining JWT and key failed")]
    Credentials(#[from] CredentialsError),
}

impl DeviceRole {
    /// The role's name in the tenant template.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "device",
            Self::FirstGeneration => "device-first-generation",
        }
    }
}

impl fmt::Display for DeviceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Issues credentials of one device, with a key pair made here.
///
/// Nothing is sent to a server: it accepts the JWT at the next connect. The caller makes sure that
/// no two tenants hold the same device id, for the id alone names the device's command consumer.
///
/// # Errors
/// When the tenant's key for the role is missing or signing fails.
pub fn issue_device(
    keys: &KeyDir,
    tenant: TenantId,
    device: DeviceId,
    role: DeviceRole,
    expires: Option<UnixSeconds>,
) -> Result<Credentials, IssueError> {
    let account = AccountName::Tenant(tenant);
    issue_user(keys, account, role.name(), &device.to_string(), expires)
}

/// Issues the JWT of a device that made its key pair itself and sent its public half.
///
/// # Errors
/// As [`issue_device`], and when `public` is no user key.
pub fn issue_device_jwt(
    keys: &KeyDir,
    tenant: TenantId,
    device: DeviceId,
    role: DeviceRole,
    public: PublicKey,
    expires: Option<UnixSeconds>,
) -> Result<String, IssueError> {
    let account = AccountName::Tenant(tenant);
    sign_user(keys, account, role.name(), &device.to_string(), public, expires)
}

/// Issues credentials of a user of any account and role, with a key pair made here.
///
/// # Errors
/// When the account's key for the role is missing, the name is not one plain token, or signing
/// fails.
pub fn issue_user(
    keys: &KeyDir,
    account: AccountName,
    role: &str,
    name: &str,
    expires: Option<UnixSeconds>,
) -> Result<Credentials, IssueError> {
    let key = SecretKey::generate(KeyKind::User).map_err(IssueError::PublicKey)?;
    let jwt = sign_user(keys, account, role, name, key.public().clone(), expires)?;
    Ok(Credentials::new(SecretString::from(jwt), key)?)
}

fn sign_user(
    keys: &KeyDir,
    account: AccountName,
    role: &str,
    name: &str,
    public: PublicKey,
    expires: Option<UnixSeconds>,
) -> Result<String, IssueError> {
    let account_key = keys.account(account)?.public().clone();
    sign_scoped(account, account_key, &keys.role(account, role)?, name, public, expires)
}

/// A user of `account_key` with the rights of the scope of `signer`.
pub(crate) fn sign_scoped(
    account: AccountName,
    account_key: PublicKey,
    signer: &SecretKey,
    name: &str,
    public: PublicKey,
    expires: Option<UnixSeconds>,
) -> Result<String, IssueError> {
    // The name goes into subjects: a wildcard or a dot in it would widen the role.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > USER_NAME_MAX_BYTES || !name.chars().all(plain) {
        return Err(IssueError::Name(name.chars().take(USER_NAME_MAX_BYTES).collect()));
    }
    let subject = public.expect_kind(KeyKind::User).map_err(IssueError::PublicKey)?;
    let mut body = User::scoped(account_key);
    if let AccountName::Tenant(tenant) = account {
        // So that an agent given its credentials alone knows whose it is.
        body.tags.push(format!("tenant:{tenant}"));
    }
    Unsigned { subject, name: name.to_owned(), issued_at: UnixSeconds::now(), expires, body }
        .sign(signer)
        .map_err(IssueError::Token)
}
