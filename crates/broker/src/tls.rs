//! TLS to the broker: whom we trust, and who we say we are below our credentials.
//!
//! Promises: the broker's certificate is always verified; a client certificate's key that others
//! can read is refused before it is used. Refuses: half a client certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::ConnectOptions;
use identity::refuse_open_file;
use runtime::settings::{Reader, Setting};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Whom to trust.
pub const NATS_CA: Setting = Setting {
    name: "WEGWEISER_NATS_CA",
    default: None,
    unit: "a path to a PEM file",
    help: "Certificate authority that signed the broker's certificate; absent: the system's.",
};
/// Whom to show the broker that asks for a certificate of ours.
pub const NATS_CLIENT_CERT: Setting = Setting {
    name: "WEGWEISER_NATS_CLIENT_CERT",
    default: None,
    unit: "a path to a PEM file",
    help: "Client certificate, for a broker that wants one beside the credentials.",
};
/// The key of it.
pub const NATS_CLIENT_KEY: Setting = Setting {
    name: "WEGWEISER_NATS_CLIENT_KEY",
    default: None,
    unit: "a path to a PEM file",
    help: "Key of that client certificate, mode 0600.",
};

/// A certificate of ours and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate with what leads to its authority.
    pub certificate: PathBuf,
    /// Its key, mode 0600.
    pub key: PathBuf,
}

/// How a connection to the broker is secured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerTls {
    /// Certificate authority; `None` trusts the system's.
    pub ca: Option<PathBuf>,
    /// What we show a broker that asks for it.
    pub client: Option<ClientCertificate>,
}

impl BrokerTls {
    /// Trusts `ca`, shows nothing.
    #[must_use]
    pub fn trusting(ca: &Path) -> Self {
        Self { ca: Some(ca.to_owned()), client: None }
    }

    pub(crate) fn read(reader: &mut Reader) -> Self {
        let ca = reader.path(&NATS_CA);
        let (cert, key) = (reader.path(&NATS_CLIENT_CERT), reader.path(&NATS_CLIENT_KEY));
        let missing = match (&cert, &key) {
            (Some(_), None) => Some((&NATS_CLIENT_KEY, &NATS_CLIENT_CERT)),
            (None, Some(_)) => Some((&NATS_CLIENT_CERT, &NATS_CLIENT_KEY)),
            _ => None,
        };
        if let Some((missing, given)) = missing {
            reader.mistake(missing, format!("is not set beside {}; give both", given.name));
        }
        let client = cert.zip(key);
        let client = client.map(|(certificate, key)| ClientCertificate { certificate, key });
        Self { ca, client }
    }

    /// Sets up a connection.
    ///
    /// # Errors
    /// What is wrong with the key file, with the remedy.
    pub(crate) fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions, String> {
        let mut options = options;
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some(client) = &self.client {
            refuse_open_key(&client.key)?;
            options =
                options.add_client_certificate(client.certificate.clone(), client.key.clone());
        }
        Ok(options)
    }

    /// The same for a connection that is ours alone.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca {
            for certificate in CertificateDer::pem_file_iter(path).map_err(because)? {
                roots.add(certificate.map_err(because)?).map_err(because)?;
            }
        }
        // As the client does: a CA of one's own is trusted beside the system's.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(because)?
            .with_root_certificates(roots);
        let Some(client) = &self.client else {
            return Ok(builder.with_no_client_auth());
        };
        refuse_open_key(&client.key)?;
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&client.certificate).map_err(because)?.collect();
        let key = PrivateKeyDer::from_pem_file(&client.key).map_err(because)?;
        builder.with_client_auth_cert(chain.map_err(because)?, key).map_err(because)
    }
}

fn because(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn refuse_open_key(path: &Path) -> Result<(), String> {
    refuse_open_file(path)
        .map_err(|error| format!("{} {}", NATS_CLIENT_KEY.name, runtime::causes::chain(&error)))
}
