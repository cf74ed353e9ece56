//! Accounts as code: `nats/accounts/` on one side, the server's resolver on the other.
//!
//! `system.json`, `backend.json` and `tenant.template.json` say what accounts may do, one file a
//! tenant says that it exists and how much of it there may be. [`plan`] shows the difference,
//! [`apply`] pushes it to a running server, without restart or reload. Promises: nothing is pushed
//! before everything was read, checked and signed; a second plan is empty; revocations and
//! suspensions that the server holds stay. Refuses: what cuts somebody off unless told; to touch an account whose key is
//! not in the key directory; and to believe a file in part, for a field it does not know is an
//! error.

mod apply;
mod bootstrap;
mod check;
mod claims;
mod declared;
mod difference;
mod effect;
mod error;
mod files;
mod lock;
mod plan;
mod server;
mod server_config;
mod settings;
mod shut_out;
mod subjects;

pub use apply::{Applied, apply, apply_tenants};
pub use bootstrap::{BootstrapError, bootstrap};
pub use declared::{Declared, DeclaredAccount};
pub use error::{AccountsError, Mistake, Mistakes};
pub use files::{AccountFile, ImportEntry, Role, TenantFile, TenantLimits};
pub use plan::plan;
pub use server::AccountServer;
pub use server_config::{ServerConfigOptions, ServerTls, SyncInterval, server_config};
pub use settings::{
    ACCOUNTS_DIR, AccountsSettings, DEVICE_LIFETIME, ISSUING_KEYS, KEYS_DIR, SETTINGS, TENANTS_DIR,
    device_lifetime,
};
pub use shut_out::{delete, held, resume, revoke, suspend};
