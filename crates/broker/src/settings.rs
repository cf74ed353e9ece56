//! How to reach the broker.

use std::path::PathBuf;

use runtime::settings::{Reader, Setting};

use crate::tls::{BrokerTls, NATS_CA, NATS_CLIENT_CERT, NATS_CLIENT_KEY};

/// Where the broker is.
pub const NATS_URL: Setting = Setting {
    name: "NATS_URL",
    default: Some("tls://localhost:4222"),
    unit: "a URL such as tls://host:4222, or several with commas between",
    help: "Address of the broker; tls:// and wss:// verify its certificate.",
};
/// Who we are there.
pub(crate) const NATS_CREDS: Setting = Setting {
    name: "NATS_CREDS",
    default: None,
    unit: "a path",
    help: "Credentials file (mode 0600) of the broker user to connect as.",
};
/// Every setting of a connection.
pub const SETTINGS: &[Setting] =
    &[NATS_URL, NATS_CREDS, NATS_CA, NATS_CLIENT_CERT, NATS_CLIENT_KEY];

/// How to reach the broker and who to be there.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    /// One or more URLs, commas between.
    pub url: String,
    /// Credentials file.
    pub creds: Option<PathBuf>,
    /// How the connection is secured.
    pub tls: BrokerTls,
    /// Name of this connection, as the server shows it.
    pub name: String,
}

impl BrokerSettings {
    /// Reads [`SETTINGS`]; `name` is what the server shows for this connection.
    pub fn read(reader: &mut Reader, name: &str) -> Self {
        Self {
            url: reader.text(&NATS_URL),
            creds: reader.path(&NATS_CREDS),
            tls: BrokerTls::read(reader),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Debug for BrokerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the URL: some put a password into it.
        f.debug_struct("BrokerSettings").field("name", &self.name).finish_non_exhaustive()
    }
}
