//! The certificate that the HTTP API shows.
//!
//! Promises: a renewed certificate is taken up within a minute, or at once on SIGHUP, without a
//! connection lost; a broken renewal leaves the one in use and says so. Refuses: a key that does
//! not belong to its certificate, and a key file that others can read.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use identity::refuse_open_file;
use runtime::shutdown::CancellationToken;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate and what leads to its authority, PEM.
    pub(crate) certificate: PathBuf,
    /// Its key, PEM.
    pub(crate) key: PathBuf,
}

/// The pair in use.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// # Errors
    /// A file cannot be used, or the two do not belong together.
    pub(crate) fn load(files: TlsFiles) -> anyhow::Result<Arc<Self>> {
        let current = RwLock::new(Arc::new(read(&files)?));
        Ok(Arc::new(Self { files, current }))
    }

    /// What makes a connection a TLS one.
    ///
    /// # Errors
    /// The TLS library knows no protocol version that is safe.
    pub(crate) fn acceptor(self: &Arc<Self>) -> anyhow::Result<TlsAcceptor> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Takes up renewed files until `stop`.
    ///
    /// # Errors
    /// The operating system refused a signal handler.
    pub(crate) async fn follow(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut hang_up = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = hang_up.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            self.look_again();
        }
    }

    fn look_again(&self) {
        let renewed = match read(&self.files) {
            Ok(renewed) => renewed,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the renewed certificate cannot be used; the old one stays");
                return;
            }
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.cert != renewed.cert {
            *current = Arc::new(renewed);
            tracing::info!(file = %self.files.certificate.display(), "certificate renewed");
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(files: &TlsFiles) -> anyhow::Result<CertifiedKey> {
    let certificate = || format!("reading WEGWEISER_WEB_TLS_CERT {}", files.certificate.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .with_context(certificate)?;
    let private = || "looking at WEGWEISER_WEB_TLS_KEY";
    refuse_open_file(&files.key).with_context(private)?;
    let key = || format!("reading WEGWEISER_WEB_TLS_KEY {}", files.key.display());
    let secret = PrivateKeyDer::from_pem_file(&files.key).with_context(key)?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, secret, &provider).with_context(|| {
        format!("{} is not the key of {}", files.key.display(), files.certificate.display())
    })
}
