//! Where declarations and keys are.

use std::path::PathBuf;

use runtime::settings::{Reader, Setting};

/// What accounts may do.
pub const ACCOUNTS_DIR: Setting = Setting {
    name: "WEGWEISER_ACCOUNTS_DIR",
    default: Some("nats/accounts"),
    unit: "a path",
    help: "Directory of system.json, backend.json and tenant.template.json.",
};
/// Which tenants there are.
pub const TENANTS_DIR: Setting = Setting {
    name: "WEGWEISER_TENANTS_DIR",
    default: Some("nats/accounts/tenants"),
    unit: "a path",
    help: "Directory with one file a tenant.",
};
/// Every secret of the operator.
pub const KEYS_DIR: Setting = Setting {
    name: "WEGWEISER_KEYS_DIR",
    default: Some("keys"),
    unit: "a path",
    help: "Key directory (mode 0700) with the operator's, the accounts' and the roles' keys.",
};
/// What the web service issues devices with.
pub const ISSUING_KEYS: Setting = Setting {
    name: "WEGWEISER_ISSUING_KEYS",
    default: None,
    unit: "a path",
    help: "Directory (mode 0700) with the keys that issue devices and no others; \
           wegweiser accounts apply keeps it up to date, the web service enrols devices with it.",
};
/// Every setting of accounts as code.
pub const SETTINGS: &[Setting] = &[ACCOUNTS_DIR, TENANTS_DIR, KEYS_DIR, ISSUING_KEYS];

/// Where declarations and keys are.
#[derive(Clone, Debug)]
pub struct AccountsSettings {
    /// Directory of `system.json`, `backend.json` and `tenant.template.json`.
    pub accounts: PathBuf,
    /// Directory with one file a tenant.
    pub tenants: PathBuf,
    /// Key directory.
    pub keys: PathBuf,
    /// Issuing directory, where one is kept.
    pub issuing: Option<PathBuf>,
}

impl AccountsSettings {
    /// Reads [`SETTINGS`].
    pub fn read(reader: &mut Reader) -> Self {
        let issuing = reader.path(&ISSUING_KEYS);
        let mut directory = |setting| PathBuf::from(reader.text(setting));
        Self {
            accounts: directory(&ACCOUNTS_DIR),
            tenants: directory(&TENANTS_DIR),
            keys: directory(&KEYS_DIR),
            issuing,
        }
    }
}
