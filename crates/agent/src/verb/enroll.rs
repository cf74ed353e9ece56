//! `wegweiser-agent enroll`: this device gets its first credentials.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use secrecy::SecretString;

use crate::config::{Overrides, creds_path, file_path};
use crate::enroll::{self, Wanted};
use crate::print;

/// Longest token file that is read.
const TOKEN_FILE_MAX_BYTES: u64 = 4_096;
/// Where a token may stand that no process list shows.
const TOKEN_VARIABLE: &str = "WEGWEISER_ENROLL_TOKEN";

/// Enrols this device with a token of your operator.
#[derive(Debug, Args)]
pub(super) struct EnrollCommand {
    /// The web service, such as `https://wegweiser.example:8443`.
    #[arg(long, env = "WEGWEISER_WEB_URL")]
    url: String,
    /// The authority of its certificate (PEM); without it, the system's.
    #[arg(long, value_name = "FILE", env = "WEGWEISER_WEB_CA")]
    ca: Option<PathBuf>,
    /// A file with the token; - is standard input. Without it, WEGWEISER_ENROLL_TOKEN holds it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The token itself. Everybody on this machine sees it while the command runs.
    #[arg(long, conflicts_with = "token_file")]
    token: Option<String>,
    /// What people call this device.
    #[arg(long, default_value = "")]
    name: String,
    /// Where the credentials go; without it, broker.creds of the configuration, or
    /// /var/lib/wegweiser-agent/device.creds.
    #[arg(long, value_name = "FILE")]
    creds: Option<PathBuf>,
    /// Make a device that is enrolled a new one; it loses the identity that it has.
    #[arg(long)]
    force: bool,
}

/// # Errors
/// There is no token, or the device could not be enrolled.
pub(super) fn run(command: &EnrollCommand, overrides: &Overrides) -> anyhow::Result<()> {
    let creds = match &command.creds {
        Some(creds) => creds.clone(),
        None => creds_path(overrides)?,
    };
    // The service runs in another directory.
    let absolute = |path: &Path| {
        std::path::absolute(path).with_context(|| format!("resolving {}", path.display()))
    };
    let wanted = Wanted {
        url: command.url.clone(),
        web_ca: command.ca.clone(),
        token: token(command)?,
        name: command.name.clone(),
        creds: absolute(&creds)?,
        config: absolute(&file_path(overrides))?,
        force: command.force,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.context("starting")?.block_on(enroll::enroll(&wanted))?;
    Ok(print::answer(&done.join("\n"))?)
}

fn token(command: &EnrollCommand) -> anyhow::Result<SecretString> {
    let text = match (&command.token, &command.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) => {
            read(path).with_context(|| format!("reading --token-file {}", path.display()))?
        }
        (None, None) => std::env::var(TOKEN_VARIABLE).unwrap_or_default(),
    };
    if text.trim().is_empty() {
        bail!(
            "there is no token; give --token-file FILE, - for standard input, or {TOKEN_VARIABLE}"
        );
    }
    Ok(SecretString::from(text.trim()))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(TOKEN_FILE_MAX_BYTES).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(TOKEN_FILE_MAX_BYTES).read_to_string(&mut text)?;
    }
    Ok(text)
}
