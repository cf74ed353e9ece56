//! Renews this device's credentials over its own connection, before they end.
//!
//! Promises: asks after two thirds of their life, spread over a twelfth, so that devices that were
//! enrolled together do not come back together; the file is the old or the new one at every instant;
//! then the connection is made anew and what was not confirmed is sent again. A refusal is logged
//! with its remedy and asked again, seldom. Credentials without an end are left alone.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::Broker;
use identity::{Credentials, UnixSeconds};
use protocol::{DeviceId, RenewAnswer, RenewRequest, TenantId};
use runtime::retry::{Backoff, jittered};
use secrecy::SecretString;

/// Longest sleep: a clock that was set meanwhile is noticed after that.
const SLEEP_MAX: Duration = Duration::from_secs(600);
/// Longest pause after a renewal that failed.
const RETRY_LONGEST: Duration = Duration::from_secs(3_600);
/// Shortest.
const RETRY_FIRST_MIN: Duration = Duration::from_millis(500);

/// As the broker knows this device.
type Who = (TenantId, DeviceId);

/// Renews for ever.
pub(crate) async fn keep(broker: &Broker, who: Who, creds: &Path) {
    loop {
        let credentials = match Credentials::load(creds) {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::error!(%error, "credentials cannot be read and are not renewed");
                tokio::time::sleep(SLEEP_MAX).await;
                continue;
            }
        };
        let Some(life) = Life::of(&credentials) else {
            return std::future::pending().await;
        };
        wait_until(life.renew_at).await;
        renew_patiently(broker, who, creds, &credentials, &life).await;
    }
}

/// When the credentials are to be renewed, and how patiently.
struct Life {
    renew_at: UnixSeconds,
    ends: UnixSeconds,
    length: Duration,
}

impl Life {
    /// `None` where they have no end.
    fn of(credentials: &Credentials) -> Option<Self> {
        let user = credentials.user();
        let ends = user.expires?;
        let length = ends.as_i64().saturating_sub(user.issued_at.as_i64()).max(1);
        let length = Duration::from_secs(u64::try_from(length).unwrap_or(1));
        let renew_at = user.issued_at.plus(length * 2 / 3 + jittered(length / 12));
        Some(Self { renew_at, ends, length })
    }
}

async fn wait_until(at: UnixSeconds) {
    loop {
        let left = at.as_i64().saturating_sub(UnixSeconds::now().as_i64());
        let Ok(left @ 1..) = u64::try_from(left) else {
            return;
        };
        tokio::time::sleep(Duration::from_secs(left).min(SLEEP_MAX)).await;
    }
}

async fn renew_patiently(
    broker: &Broker,
    who: Who,
    creds: &Path,
    credentials: &Credentials,
    life: &Life,
) {
    let first = (life.length / 60).clamp(RETRY_FIRST_MIN, RETRY_LONGEST);
    let mut backoff = Backoff::new(first, (life.length / 12).clamp(first, RETRY_LONGEST));
    loop {
        match renew(broker, who, creds, credentials).await {
            Ok(()) => return,
            Err(error) => {
                let (error, ends) = (format!("{error:#}"), life.ends.as_i64());
                if UnixSeconds::now() < life.ends {
                    tracing::warn!(error, ends, "credentials were not renewed, trying again");
                } else {
                    tracing::error!(
                        error,
                        ends,
                        "credentials are over; get a new token and run: wegweiser-agent enroll --force"
                    );
                }
            }
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

async fn renew(
    broker: &Broker,
    who: Who,
    creds: &Path,
    credentials: &Credentials,
) -> anyhow::Result<()> {
    let request = RenewRequest { public_key: credentials.key().public().to_string() };
    let question = serde_json::to_vec(&request).context("writing the question")?;
    let answer = broker
        .ask_renewal(who.0, who.1, question)
        .await
        .context("asking; is a wegweiser-web with WEGWEISER_ISSUING_KEYS running?")?;
    let jwt = match serde_json::from_slice(&answer).context("reading the answer")? {
        RenewAnswer::Renewed { jwt, .. } => jwt,
        RenewAnswer::Refused(why) | RenewAnswer::NotNow(why) => bail!("{why}"),
    };
    let renewed = Credentials::new(SecretString::from(jwt), credentials.key().clone())
        .context("the answer is not for this device")?;
    if renewed.user().name != credentials.user().name {
        bail!("the answer is for device {}", renewed.user().name);
    }
    renewed.replace(creds).context("keeping the renewed credentials")?;
    let ends = renewed.user().expires.map(|ends| ends.as_i64());
    tracing::info!(ends, "credentials renewed");
    // The connection reads them when it is made anew.
    broker.cut().await;
    Ok(())
}
