//! The part of a nats-server's configuration that follows from the key directory.
//!
//! Promises: the same directory gives the same text, so that a restart with it changes nothing; it
//! holds no secret. Where to listen, logs and cluster routes are the caller's to add.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use identity::{AccountName, KeyDir, KeyDirError};

/// How often servers compare their accounts, in minutes.
const RESOLVER_INTERVAL_MINUTES: u32 = 2;

/// When JetStream's writes reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncInterval {
    /// Before each acknowledgement: what is acknowledged survives a power loss of this server.
    Always,
    /// Every so often: what is acknowledged survives the end of the process, but no power loss;
    /// with replicas the loss of one server while the others run undisturbed.
    Every(Duration),
}

/// Certificate and key of the server.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The server's certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// The authority of client certificates; with it, clients must show one.
    pub client_ca_file: Option<PathBuf>,
}

/// What the key directory does not know.
#[derive(Clone, Debug)]
pub struct ServerConfigOptions {
    /// Where JetStream keeps its files; absent where the command line says it (`--store_dir`).
    pub jetstream_dir: Option<PathBuf>,
    /// Where the resolver keeps the accounts' JWTs.
    pub resolver_dir: PathBuf,
    /// When JetStream's writes reach the disk.
    pub sync_interval: SyncInterval,
    /// Largest message that any connection may send, headers included, in bytes.
    pub max_payload_bytes: u32,
    /// Most bytes of all file streams; the server's own choice if absent.
    pub max_file_store_bytes: Option<u64>,
    /// TLS for clients; without it the connection is plain.
    pub tls: Option<ServerTls>,
}

/// The configuration fragment: operator, system account, resolver with `SYS` and `BACKEND`,
/// JetStream, TLS and limits.
///
/// # Errors
/// When the key directory was not bootstrapped or is unusable.
pub fn server_config(keys: &KeyDir, options: &ServerConfigOptions) -> Result<String, KeyDirError> {
    let mut preload = String::new();
    for account in [AccountName::System, AccountName::Backend] {
        let (key, jwt) = (keys.account(account)?, keys.first_jwt(account)?);
        line(&mut preload, format_args!("  {}: {jwt} # {account}", key.public()));
    }
    let operator = keys.operator_jwt()?;
    let system = keys.account(AccountName::System)?;
    let mut text = String::new();
    line(&mut text, format_args!("operator: {operator}"));
    line(&mut text, format_args!("system_account: {}", system.public()));
    line(&mut text, format_args!("max_payload: {}", options.max_payload_bytes));
    let resolver = quoted(&options.resolver_dir);
    line(
        &mut text,
        format_args!(
            "resolver {{\n  type: full\n  dir: {resolver}\n  allow_delete: true\n  \
             interval: \"{RESOLVER_INTERVAL_MINUTES}m\"\n}}\nresolver_preload {{\n{preload}}}"
        ),
    );
    let sync = match options.sync_interval {
        SyncInterval::Always => "always".to_owned(),
        SyncInterval::Every(interval) => format!("\"{}ms\"", interval.as_millis()),
    };
    line(&mut text, format_args!("jetstream {{\n  sync_interval: {sync}"));
    if let Some(directory) = &options.jetstream_dir {
        line(&mut text, format_args!("  store_dir: {}", quoted(directory)));
    }
    if let Some(bytes) = options.max_file_store_bytes {
        line(&mut text, format_args!("  max_file_store: {bytes}"));
    }
    line(&mut text, format_args!("}}"));
    if let Some(tls) = &options.tls {
        let (cert, key) = (quoted(&tls.cert_file), quoted(&tls.key_file));
        line(&mut text, format_args!("tls {{\n  cert_file: {cert}\n  key_file: {key}"));
        if let Some(ca) = &tls.client_ca_file {
            line(&mut text, format_args!("  ca_file: {}\n  verify: true", quoted(ca)));
        }
        line(&mut text, format_args!("}}"));
    }
    Ok(text)
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{content}");
}

/// A path as the configuration's parser reads it back.
fn quoted(path: &Path) -> String {
    let escaped = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}
