//! The ports that a nats-server has picked, as it tells them in a file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

#[derive(Debug)]
pub(super) struct Ports {
    pub(super) client_url: String,
    pub(super) client: u16,
    pub(super) monitoring: u16,
    pub(super) websocket: Option<u16>,
}

/// What nats-server writes to `<executable>_<pid>.ports`.
#[derive(Deserialize)]
struct PortsFile {
    nats: Vec<String>,
    monitoring: Vec<String>,
    #[serde(default)]
    websocket: Vec<String>,
}

impl Ports {
    /// `None` until the file is there and complete.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        let entry = fs::read_dir(dir).ok()?.next()?.ok()?;
        let file: PortsFile = serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()?;
        let client_url = file.nats.into_iter().next()?;
        Some(Self {
            client: port_of(&client_url).ok()?,
            client_url,
            monitoring: port_of(file.monitoring.first()?).ok()?,
            websocket: file.websocket.first().and_then(|url| port_of(url).ok()),
        })
    }
}

fn port_of(url: &str) -> Result<u16> {
    let (_, port) = url.rsplit_once(':').ok_or_else(|| anyhow!("{url:?} has no port"))?;
    port.parse().with_context(|| format!("reading the port of {url:?}"))
}
