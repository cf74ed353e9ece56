//! Waiting for a server to be ready, and finding it a port.
//!
//! Promises: readiness is a condition that is probed until a deadline, never a pause; a server that
//! ends or does not come up gives an error with the end of its log; a port that someone else took
//! meanwhile is replaced by another, [`PORT_ATTEMPTS`] times at most.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::process::Process;

/// How long a server may take from its start until it answers.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(30);
const PORT_ATTEMPTS: usize = 8;
const PROBE_INTERVAL: Duration = Duration::from_millis(5);
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// What a server says that has found its port taken (nats-server; Redis and Postgres), or that a
/// killed predecessor's children are still there (Postgres).
const PORT_TAKEN: [&str; 3] =
    ["address already in use", "Address already in use", "pre-existing shared memory block"];

/// A server that did not become ready.
#[derive(Debug)]
pub(crate) struct NotReady {
    /// Another port, or a moment's patience, may help.
    pub(crate) port_taken: bool,
    pub(crate) error: anyhow::Error,
}

impl From<anyhow::Error> for NotReady {
    fn from(error: anyhow::Error) -> Self {
        Self { port_taken: false, error }
    }
}

/// Probes until `probe` gives something. `name` and `log` appear in the error.
pub(crate) fn wait_ready<T>(
    name: &str,
    process: &Process,
    mut probe: impl FnMut() -> Option<T>,
) -> Result<T, NotReady> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if process.has_ended() {
            let tail = process.log_tail();
            return Err(NotReady {
                port_taken: PORT_TAKEN.iter().any(|text| tail.contains(text)),
                error: anyhow!("{name} ended before it was ready; {}", quoted(process, &tail)),
            });
        }
        if let Some(found) = probe() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            let tail = process.log_tail();
            return Err(NotReady::from(anyhow!(
                "{name} was not ready after {} s; {}",
                READY_WITHIN.as_secs(),
                quoted(process, &tail)
            )));
        }
        process.wait_ended(PROBE_INTERVAL);
    }
}

/// Starts something on `preferred` if that port is free, else on a free one.
pub(crate) fn on_free_port<T>(
    preferred: Option<u16>,
    mut start: impl FnMut(u16) -> Result<T, NotReady>,
) -> Result<T> {
    let mut preferred = preferred.filter(|port| is_free(*port));
    let mut last_error = anyhow!("no port was tried");
    for _ in 0..PORT_ATTEMPTS {
        let port = match preferred.take() {
            Some(port) => port,
            None => free_port()?,
        };
        match start(port) {
            Ok(started) => return Ok(started),
            Err(failed) if failed.port_taken => last_error = failed.error,
            Err(failed) => return Err(failed.error),
        }
    }
    Err(last_error.context(format!("every one of {PORT_ATTEMPTS} ports was taken")))
}

/// Starts something again where it ran before. Someone may borrow the port for a moment; until the
/// deadline that is waited for.
pub(crate) fn on_same_port<T>(mut start: impl FnMut() -> Result<T, NotReady>) -> Result<T> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        match start() {
            Ok(started) => return Ok(started),
            Err(failed) if failed.port_taken && Instant::now() < deadline => {}
            Err(failed) => return Err(failed.error),
        }
    }
}

/// A loopback port that nothing listens on at this moment.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port")?;
    Ok(listener.local_addr()?.port())
}

pub(crate) fn is_free(port: u16) -> bool {
    port != 0 && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Connects, sends `request`, and returns the first bytes of the answer (at most `limit_bytes`).
pub(crate) fn ask(port: u16, request: &[u8], limit_bytes: usize) -> Option<Vec<u8>> {
    converse(connected(port)?, request, limit_bytes)
}

/// As [`ask`], over TLS.
pub(crate) fn ask_tls(
    port: u16,
    tls: &Arc<ClientConfig>,
    request: &[u8],
    limit_bytes: usize,
) -> Option<Vec<u8>> {
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let session = ClientConnection::new(Arc::clone(tls), name).ok()?;
    converse(StreamOwned::new(session, connected(port)?), request, limit_bytes)
}

/// How a client that trusts one authority alone speaks TLS.
pub(crate) fn trusting(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(ca);
    roots.add(certificate.with_context(|| format!("reading {}", ca.display()))?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn connected(port: u16) -> Option<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT)).ok()?;
    stream.set_write_timeout(Some(PROBE_TIMEOUT)).ok()?;
    Some(stream)
}

fn converse(mut stream: impl Read + Write, request: &[u8], limit_bytes: usize) -> Option<Vec<u8>> {
    stream.write_all(request).ok()?;
    let mut answer = vec![0; limit_bytes];
    let received = stream.read(&mut answer).ok()?;
    answer.truncate(received);
    (received > 0).then_some(answer)
}

fn quoted(process: &Process, tail: &str) -> String {
    let log = process.log_path().display();
    if tail.trim().is_empty() {
        return format!("its log {log} is empty");
    }
    format!("the end of its log {log}:\n{}", tail.trim_end())
}

/// Stops with an error when a command did not succeed; its output is the reason.
pub(crate) fn succeeded(what: &str, output: &std::process::Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{what} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
