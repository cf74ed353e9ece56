//! Until when the connection's credential and the server's certificate hold, so that somebody is told
//! before they end.
//!
//! The client library shows neither, so the file is read and the server is asked for its
//! certificate once more, on a connection that ends after the handshake.

use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use identity::Credentials;
use protocol::UnixMillis;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::BrokerSettings;

/// Longest wait for the server's certificate.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest first line of a server; ours say less than a tenth of it.
const INFO_MAX_BYTES: u64 = 64 * 1024;
const DEFAULT_PORT: u16 = 4222;

/// The server's certificate could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("the broker's certificate cannot be looked at: {0}")]
pub struct ExpiryError(String);

/// When the credential in the settings' file ends; `None` where it never does, and where there is
/// no file that can be read, of which [`crate::Broker::connect`] tells.
#[must_use]
pub fn credential(settings: &BrokerSettings) -> Option<UnixMillis> {
    let credentials = Credentials::load(settings.creds.as_deref()?).ok()?;
    let expires = credentials.user().expires?;
    Some(UnixMillis::new(expires.as_i64().saturating_mul(1_000)))
}

/// When the certificate of the first server in the settings ends; `None` where it has none.
///
/// # Errors
/// The server does not answer, or its certificate does not verify.
pub async fn certificate(settings: &BrokerSettings) -> Result<Option<UnixMillis>, ExpiryError> {
    let looking = look(settings);
    match tokio::time::timeout(ANSWER_TIMEOUT, looking).await {
        Ok(found) => found,
        Err(_) => Err(ExpiryError("it does not answer in time".to_owned())),
    }
}

async fn look(settings: &BrokerSettings) -> Result<Option<UnixMillis>, ExpiryError> {
    let first = settings.url.split(',').next().unwrap_or_default().trim();
    let address: ServerAddr = first.parse().map_err(because)?;
    let (host, scheme) = (address.host(), address.scheme());
    let port = if address.port() == 0 { DEFAULT_PORT } else { address.port() };
    let stream = TcpStream::connect((host, port)).await.map_err(because)?;
    let mut stream = BufReader::new(stream);
    // Over WebSocket, TLS comes first; else the server says a line in the clear before it.
    if !scheme.starts_with("ws") {
        let mut info = String::new();
        (&mut stream).take(INFO_MAX_BYTES).read_line(&mut info).await.map_err(because)?;
        let needs_tls = info.contains(r#""tls_required":true"#) || scheme == "tls";
        if !needs_tls {
            return Ok(None);
        }
    } else if scheme == "ws" {
        return Ok(None);
    }
    let name = ServerName::try_from(host.to_owned()).map_err(because)?;
    let connector = TlsConnector::from(Arc::new(settings.tls.client_config().map_err(because)?));
    let stream = connector.connect(name, stream).await.map_err(because)?;
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(<[_]>::first);
    let shown = shown.ok_or_else(|| ExpiryError("it shows none".to_owned()))?;
    let (_, certificate) = X509Certificate::from_der(shown).map_err(because)?;
    let ends = certificate.validity().not_after.timestamp();
    Ok(Some(UnixMillis::new(ends.saturating_mul(1_000))))
}

fn because(error: impl std::fmt::Display) -> ExpiryError {
    ExpiryError(error.to_string())
}
