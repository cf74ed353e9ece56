//! Issuing a device's credentials: noted in the registry, then written to a file, with the keys
//! whose commands the device believes beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::BelievedKeys;
use clap::ValueEnum;
use identity::{Credentials, DeviceRole, UnixSeconds, issue_device};
use protocol::{DeviceId, TenantId, UnixMillis};
use serde::Deserialize;
use storage::Credential;

use crate::clock::exact;
use crate::dlq::span_ms;
use crate::office::Office;
use crate::output;

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

/// How long credentials are to be good, as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Span(Duration),
    WithoutEnd,
}

impl Life {
    /// How long those of a device of this role are good; `None`: without an end. Unless it was
    /// typed, `usual`, but for agents of the first generation: they cannot renew theirs.
    pub(super) fn or_usual(
        asked: Option<Self>,
        usual: Duration,
        role: DeviceRole,
    ) -> Option<Duration> {
        match asked {
            Some(Self::Span(span)) => Some(span),
            Some(Self::WithoutEnd) => None,
            None => (role == DeviceRole::Current).then_some(usual),
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

/// Makes a key pair, notes its public half, and writes the file; returns when they end.
pub(super) async fn issue(
    office: &Office,
    wanted: &Wanted<'_>,
) -> anyhow::Result<Option<UnixMillis>> {
    if wanted.path.exists() {
        bail!("{} exists; give another file, or move it away", wanted.path.display());
    }
    let Wanted { tenant, device, role, .. } = *wanted;
    let expires = wanted.life.map(|life| UnixSeconds::now().plus(life));
    let credentials: Credentials = issue_device(&office.keys, tenant, device, role, expires)
        .context("issuing the device's credentials")?;
    let user = credentials.user();
    let (public_key, expires) = (user.subject.to_string(), user.expires.map(millis));
    let noted = Credential {
        public_key: &public_key,
        // The JWT knows seconds only, in which a device may be given several.
        issued_at: UnixMillis::now(),
        expires_at: expires,
    };
    office.records.note_credential(tenant, device, noted).await?;
    credentials.save(wanted.path).context("writing the credentials file")?;
    Ok(expires)
}

/// Tells people of credentials that were issued.
pub(super) fn tell(creds: &Path, role: DeviceRole, expires: Option<UnixMillis>) {
    let creds = creds.display();
    match expires.map(exact) {
        None => output::note(&format!("credentials {creds}: without an end")),
        Some(end) if role == DeviceRole::Current => {
            output::note(&format!("credentials {creds}: end {end}; the agent renews them before"));
        }
        Some(end) => output::note(&format!("credentials {creds}: end {end}; then: device rotate")),
    }
}

/// Tells people of the keys whose commands the device believes.
pub(super) fn tell_pinned(path: &Path) {
    output::note(&format!(
        "command keys {}: keep it beside the credentials; without it the agent refuses commands",
        path.display()
    ));
}

/// Writes the public keys that sign commands beside credentials, where the agent looks for those
/// that it believes; returns the file. The first key is made where there is none.
pub(super) fn pin_command_keys(office: &Office, creds: &Path) -> anyhow::Result<PathBuf> {
    office.keys.ensure_command_key().context("making the key that signs commands")?;
    let keys = office.keys.command_keys().context("reading the keys that sign commands")?;
    let keys: Vec<String> = keys.iter().map(|key| key.public().to_string()).collect();
    let path = creds.with_file_name(BelievedKeys::FILE_NAME);
    BelievedKeys::write(&path, &keys)?;
    Ok(path)
}

fn millis(at: UnixSeconds) -> UnixMillis {
    UnixMillis::new(at.as_i64().saturating_mul(1_000))
}

/// A span such as 12h or 30d, or `none`.
pub(super) fn life(text: &str) -> Result<Life, String> {
    if text == "none" {
        return Ok(Life::WithoutEnd);
    }
    match span_ms(text).and_then(|span| u64::try_from(span).ok()) {
        Some(span) if span > 0 => Ok(Life::Span(Duration::from_millis(span))),
        _ => Err("give a span such as 30m, 12h or 30d, or none".to_owned()),
    }
}
