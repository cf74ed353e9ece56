//! Where declarations and keys are.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

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
/// How long devices' credentials are good.
pub const DEVICE_LIFETIME: Setting = Setting {
    name: "WEGWEISER_DEVICE_LIFETIME_SECONDS",
    default: Some("2592000"),
    unit: "seconds",
    help: "How long a device's credentials are good that it is given or renews; it renews them \
           after two thirds.",
};
/// Shortest and longest of that, in seconds.
const LIFETIME_SECONDS: RangeInclusive<u64> = 6..=10 * 366 * 86_400;
/// Every setting of accounts as code.
pub const SETTINGS: &[Setting] =
    &[ACCOUNTS_DIR, TENANTS_DIR, KEYS_DIR, ISSUING_KEYS, DEVICE_LIFETIME];

/// Reads [`DEVICE_LIFETIME`].
pub fn device_lifetime(reader: &mut Reader) -> Duration {
    reader.seconds(&DEVICE_LIFETIME, LIFETIME_SECONDS)
}

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
    /// How long devices' credentials are good.
    pub device_lifetime: Duration,
}

impl AccountsSettings {
    /// Reads [`SETTINGS`].
    pub fn read(reader: &mut Reader) -> Self {
        let issuing = reader.path(&ISSUING_KEYS);
        let device_lifetime = device_lifetime(reader);
        let mut directory = |setting| PathBuf::from(reader.text(setting));
        Self {
            accounts: directory(&ACCOUNTS_DIR),
            tenants: directory(&TENANTS_DIR),
            keys: directory(&KEYS_DIR),
            issuing,
            device_lifetime,
        }
    }
}
