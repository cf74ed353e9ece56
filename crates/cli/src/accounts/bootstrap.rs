//! `wegweiser accounts bootstrap`: from nothing to what a first server and its users start with.
//!
//! Promises: keys and credentials that are there stay as they are; credentials have mode 0600; the
//! server's configuration follows from the key directory and holds no secret.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::accounts::{
    AccountsSettings, Declared, ServerConfigOptions, ServerTls, SyncInterval, bootstrap,
    server_config,
};
use clap::Args;
use identity::{AccountName, KeyDir, issue_user};

use crate::{environment, output};

/// Largest message that devices and replays need: 1 MiB of payload, headers and room.
const MAX_PAYLOAD_BYTES: u32 = 2 * 1024 * 1024;
/// Users of `BACKEND` that get a credentials file each, named like their role.
const ROLES: [&str; 3] = ["receiver", "web", "operator"];

#[derive(Debug, Args)]
pub(super) struct Bootstrap {
    /// Where to write the credentials of receiver, web and operator (`{role}.creds`).
    #[arg(long, value_name = "DIRECTORY")]
    creds_dir: Option<PathBuf>,
    /// Where to write the nats-server configuration, to be included in the server's own.
    #[arg(long, value_name = "FILE")]
    server_config: Option<PathBuf>,
    /// In that configuration: where JetStream keeps its files; without it, nats-server is told
    /// with --store_dir.
    #[arg(long, value_name = "DIRECTORY")]
    jetstream_dir: Option<PathBuf>,
    /// In that configuration: where the server keeps the accounts' JWTs.
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/nats/accounts")]
    resolver_dir: PathBuf,
    /// In that configuration: milliseconds between syncs to disk, or `always` (before each
    /// acknowledgement).
    #[arg(long, value_name = "MILLISECONDS", default_value = "always", value_parser = sync_interval)]
    sync_interval: SyncInterval,
    /// In that configuration: most bytes of all streams.
    #[arg(long, value_name = "BYTES")]
    max_file_store: Option<u64>,
    /// In that configuration: the server's certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// In that configuration: its key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// In that configuration: the authority (PEM) of client certificates; with it, whoever connects
    /// must show one.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

pub(super) fn run(arguments: &Bootstrap) -> anyhow::Result<ExitCode> {
    let settings = environment::read(AccountsSettings::read)?;
    let declared = Declared::load(&settings.accounts, &settings.tenants)
        .context("reading the account files")?;
    let keys = KeyDir::open_or_create(&settings.keys).context("opening the key directory")?;
    bootstrap(&keys, &declared).context("making operator, SYS and BACKEND")?;
    output::text(&format!("keys    {}", settings.keys.display()))?;
    if let Some(directory) = &arguments.creds_dir {
        write_credentials(&keys, directory)?;
    }
    if let Some(path) = &arguments.server_config {
        let text = server_config(&keys, &options(arguments)?)
            .context("making the server's configuration")?;
        write_whole(path, &text)?;
        output::text(&format!("config  {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_credentials(keys: &KeyDir, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    for role in ROLES {
        let path = directory.join(format!("{role}.creds"));
        if !path.exists() {
            let credentials = issue_user(keys, AccountName::Backend, role, role, None)
                .with_context(|| format!("issuing the credentials of {role}"))?;
            credentials.save(&path).context("writing a credentials file")?;
        }
        output::text(&format!("creds   {}", path.display()))?;
    }
    Ok(())
}

fn options(arguments: &Bootstrap) -> anyhow::Result<ServerConfigOptions> {
    // The server reads relative paths from its own directory, the operator means this one.
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).with_context(|| format!("resolving {}", path.display()))
    };
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(cert), Some(key)) => Some(ServerTls {
            cert_file: absolute(cert)?,
            key_file: absolute(key)?,
            client_ca_file: arguments.tls_client_ca.as_ref().map(absolute).transpose()?,
        }),
        _ => None,
    };
    Ok(ServerConfigOptions {
        jetstream_dir: arguments.jetstream_dir.as_ref().map(absolute).transpose()?,
        resolver_dir: absolute(&arguments.resolver_dir)?,
        sync_interval: arguments.sync_interval,
        max_payload_bytes: MAX_PAYLOAD_BYTES,
        max_file_store_bytes: arguments.max_file_store,
        tls,
    })
}

fn sync_interval(text: &str) -> Result<SyncInterval, String> {
    if text == "always" {
        return Ok(SyncInterval::Always);
    }
    match text.parse::<u64>() {
        Ok(milliseconds) if milliseconds > 0 => {
            Ok(SyncInterval::Every(Duration::from_millis(milliseconds)))
        }
        _ => Err("give whole milliseconds above 0, or always".to_owned()),
    }
}

/// Writes the file whole or not at all.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let Some(name) = path.file_name() else {
        bail!("--server-config is {}; give a file", path.display());
    };
    let unfinished = path.with_file_name(format!(".{}.new", name.to_string_lossy()));
    fs::write(&unfinished, text)
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("writing {}", path.display()))
}
