//! Who somebody is at the broker: keys, JWTs and credentials of the NATS ecosystem.
//!
//! Promises: what is written here is what the ecosystem's own tools read (version 2 claims,
//! `ed25519-nkey`); the same claims give the same text; a decoded JWT has been verified against its
//! issuer; a seed lives in a wrapped string that is wiped and never printed; a key file is mode
//! 0600, whole or absent, and never overwritten. Refuses: a key directory that others can read,
//! claims that it does not know in full, and any network traffic. The only crate that names `nkeys`.

mod account_name;
mod claims;
mod command_keys;
mod command_signature;
mod credentials;
mod file_access;
mod issue;
mod issuing;
mod key;
mod key_dir;
mod key_file;
mod time;
mod token;

pub use account_name::{AccountName, AccountNameError};
pub use claims::{
    Account, AccountDeletion, AccountLimits, Body, Export, Import, JetStreamLimits, Operator,
    Permission, Permissions, ResponsePermission, Scope, ScopeKind, SharingType, SigningKey,
    TimeRange, User, UserLimits,
};
pub use command_keys::command_keys_in;
pub use command_signature::{CommandRefused, CommandSigner, CommandSigningError, verify_command};
pub use credentials::{Credentials, CredentialsError};
pub use issue::{DeviceRole, IssueError, issue_device, issue_device_jwt, issue_user};
pub use issuing::{Exported, IssuingKeys};
pub use key::{KeyError, KeyKind, PublicKey, SecretKey};
pub use key_dir::{KeyDir, KeyDirError, KeyDirLock};
pub use key_file::{KeyFileError, refuse_open_file};
pub use time::UnixSeconds;
pub use token::{JWT_MAX_BYTES, TokenError, Unsigned, Verified};
