//! Credentials for devices: what enrolment and renewal have in common.
//!
//! Promises: a credential is noted in the registry before it leaves the house. Holds the keys that
//! issue devices and no others.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use identity::{IssuingKeys, PublicKey, UnixSeconds};
use protocol::{DeviceId, Labels, TenantId, UnixMillis};
use storage::{EnrollToken, Enrolled, Enrolment, EnrolmentError, Renewal, Scope, WalledRecords};

use crate::settings::EnrolmentSettings;

const MILLISECONDS_A_SECOND: i64 = 1_000;

/// Issues devices' credentials; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    keys: IssuingKeys,
    records: WalledRecords,
    lifetime: Duration,
    /// What an admitted device is told of the broker.
    pub(crate) servers: String,
    pub(crate) ca: Option<String>,
}

/// A JWT and its end.
pub(crate) struct Issued {
    pub(crate) jwt: String,
    pub(crate) expires_at: UnixMillis,
}

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotIssued {
    #[error(transparent)]
    Refused(#[from] EnrolmentError),
    /// Ours to mend.
    #[error("this service cannot issue credentials now; its operator finds the reason in its log")]
    Keys(#[source] anyhow::Error),
}

/// From when until when.
struct Span {
    issued_at: UnixMillis,
    expires: UnixSeconds,
    expires_at: UnixMillis,
}

impl Issuer {
    /// # Errors
    /// The directory or the authority's file cannot be used.
    pub(crate) fn open(
        settings: &EnrolmentSettings,
        records: WalledRecords,
    ) -> anyhow::Result<Self> {
        let keys = IssuingKeys::open(&settings.keys).context("opening WEGWEISER_ISSUING_KEYS")?;
        let ca = settings.ca.as_deref().map(read_authority).transpose()?;
        let (lifetime, servers) = (settings.lifetime, settings.servers.clone());
        Ok(Self { keys, records, lifetime, servers, ca })
    }

    /// Admits a device.
    ///
    /// # Errors
    /// The token is refused, or a server or key is not at hand.
    pub(crate) async fn enroll(
        &self,
        token: &EnrollToken,
        public: &PublicKey,
        about: (&str, &Labels),
        source: &str,
    ) -> Result<(Enrolled, Issued), NotIssued> {
        let span = self.span();
        let (name, labels) = about;
        let wanted = Enrolment {
            public_key: public.as_str(),
            name,
            labels,
            source,
            issued_at: span.issued_at,
            expires_at: span.expires_at,
        };
        // Whose the token is, only the database knows.
        let enrolled = self.records.within(Scope::Nobody).enroll(token, wanted).await?;
        let issued = self.issue(enrolled.tenant, enrolled.device, public, &span)?;
        Ok((enrolled, issued))
    }

    /// Renews a device's credential.
    ///
    /// # Errors
    /// The device is refused, or a server or key is not at hand.
    pub(crate) async fn renew(
        &self,
        tenant: TenantId,
        device: DeviceId,
        public: &PublicKey,
    ) -> Result<Issued, NotIssued> {
        let span = self.span();
        let (issued_at, expires_at) = (span.issued_at, span.expires_at);
        let public_key = public.as_str();
        let wanted = Renewal { tenant, device, public_key, issued_at, expires_at };
        self.records.within(Scope::Tenant(tenant)).renew(wanted).await?;
        self.issue(tenant, device, public, &span)
    }

    /// Public keys that sign commands, newest first.
    ///
    /// # Errors
    /// Their file is unusable.
    pub(crate) fn command_keys(&self) -> Result<Vec<String>, NotIssued> {
        let keys = self.keys.command_keys().map_err(|error| NotIssued::Keys(error.into()))?;
        Ok(keys.iter().map(ToString::to_string).collect())
    }

    fn issue(
        &self,
        tenant: TenantId,
        device: DeviceId,
        public: &PublicKey,
        span: &Span,
    ) -> Result<Issued, NotIssued> {
        let jwt = self.keys.issue_device_jwt(tenant, device, public.clone(), span.expires);
        let jwt = jwt.map_err(|error| NotIssued::Keys(error.into()))?;
        Ok(Issued { jwt, expires_at: span.expires_at })
    }

    fn span(&self) -> Span {
        let issued = UnixSeconds::now();
        let expires = issued.plus(self.lifetime);
        let millis =
            |at: UnixSeconds| UnixMillis::new(at.as_i64().saturating_mul(MILLISECONDS_A_SECOND));
        Span { issued_at: millis(issued), expires, expires_at: millis(expires) }
    }
}

fn read_authority(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
