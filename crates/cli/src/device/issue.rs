//! Issuing a device's credentials: noted in the registry, then written to a file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use identity::{Credentials, DeviceRole, PublicKey, UnixSeconds, issue_device};
use protocol::{DeviceId, TenantId, UnixMillis};
use serde::Deserialize;
use storage::Credential;

use crate::dlq::span_ms;
use crate::office::Office;

/// How a device takes its commands.
#[derive(Clone, Copy, Debug, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    /// Pulls its commands from the stream.
    #[default]
    Device,
    /// Subscribes to its command subject.
    DeviceFirstGeneration,
}

impl From<Role> for DeviceRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Device => Self::Current,
            Role::DeviceFirstGeneration => Self::FirstGeneration,
        }
    }
}

/// Credentials that are wanted.
pub(super) struct Wanted<'a> {
    pub(super) tenant: TenantId,
    pub(super) device: DeviceId,
    pub(super) role: DeviceRole,
    /// How long they are good for; `None`: without an end.
    pub(super) life: Option<Duration>,
    /// The file to write.
    pub(super) path: &'a Path,
}

/// Makes a key pair, notes its public half, and writes the file; returns the public key.
pub(super) async fn issue(office: &Office, wanted: &Wanted<'_>) -> anyhow::Result<PublicKey> {
    if wanted.path.exists() {
        bail!("{} exists; give another file, or move it away", wanted.path.display());
    }
    let Wanted { tenant, device, role, .. } = *wanted;
    let expires = wanted.life.map(|life| UnixSeconds::now().plus(life));
    let credentials: Credentials = issue_device(&office.keys, tenant, device, role, expires)
        .context("issuing the device's credentials")?;
    let user = credentials.user();
    let public_key = user.subject.to_string();
    let noted = Credential {
        public_key: &public_key,
        // The JWT knows seconds only, in which a device may be given several.
        issued_at: UnixMillis::now(),
        expires_at: user.expires.map(millis),
    };
    office.records.note_credential(tenant, device, noted).await?;
    credentials.save(wanted.path).context("writing the credentials file")?;
    Ok(user.subject.clone())
}

fn millis(at: UnixSeconds) -> UnixMillis {
    UnixMillis::new(at.as_i64().saturating_mul(1_000))
}

/// A span such as 12h or 30d.
pub(super) fn life(text: &str) -> Result<Duration, String> {
    match span_ms(text).and_then(|span| u64::try_from(span).ok()) {
        Some(span) if span > 0 => Ok(Duration::from_millis(span)),
        _ => Err("give a span such as 30m, 12h or 30d".to_owned()),
    }
}
