//! Enrolment: this device makes its key pair, shows a token, and is given credentials.
//!
//! Promises: the key pair's secret half leaves this machine never; tried again after a lost answer
//! it is the same device and takes no second use of the token; configuration, authority and command
//! keys are there before the credentials, which come last and whole. Refuses: to take an identity
//! from a device that has one, unless told; a token over an unencrypted connection to another
//! machine.

mod answer;
mod post;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use identity::{Credentials, KeyKind, SecretKey};
use protocol::{EnrollAnswer, EnrollRequest};
use runtime::retry::Backoff;
use secrecy::{ExposeSecret as _, SecretString};

use post::{Failed, Poster};

/// Tries before giving up on a service that is away or busy.
const TRIES_MAX: u32 = 5;
/// Pauses between tries grow from the first to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// What enrolment is told.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The web service, `https://host:port`.
    pub(crate) url: String,
    /// The authority of its certificate; `None`: the system's.
    pub(crate) web_ca: Option<PathBuf>,
    pub(crate) token: SecretString,
    /// The device's name for people; may be empty.
    pub(crate) name: String,
    /// Where the credentials go.
    pub(crate) creds: PathBuf,
    /// Where the configuration is or goes.
    pub(crate) config: PathBuf,
    /// Whether an identity that is there is replaced.
    pub(crate) force: bool,
}

/// Enrols this device; returns what was written, for people.
///
/// # Errors
/// It is enrolled already, the token is refused, the service is away, or a file cannot be written.
pub(crate) async fn enroll(wanted: &Wanted) -> anyhow::Result<Vec<String>> {
    refuse_second_identity(wanted)?;
    let directory = wanted.creds.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)
        .with_context(|| format!("making {}", directory.display()))?;
    // Kept until the answer is: the same key again is the same device.
    let pending = beside(&wanted.creds, ".enrolling");
    let key = SecretKey::kept_in(&pending, KeyKind::User).context("making the key pair")?;
    let request = EnrollRequest {
        token: wanted.token.expose_secret().to_owned(),
        public_key: key.public().to_string(),
        name: wanted.name.clone(),
        labels: std::collections::BTreeMap::new(),
    };
    let answered = ask(wanted, &request).await?;
    let credentials = Credentials::new(SecretString::from(answered.jwt.as_str()), key)
        .context("the service answered with credentials that are not this device's")?;
    let mut done = answer::write(&answered, wanted)?;
    if wanted.force {
        credentials.replace(&wanted.creds)?;
    } else {
        credentials.save(&wanted.creds)?;
    }
    std::fs::remove_file(&pending).with_context(|| format!("removing {}", pending.display()))?;
    done.insert(0, format!("device       {} of tenant {}", answered.device, answered.tenant));
    done.push(format!("credentials  {}", wanted.creds.display()));
    Ok(done)
}

fn refuse_second_identity(wanted: &Wanted) -> anyhow::Result<()> {
    if wanted.force || !wanted.creds.exists() {
        return Ok(());
    }
    let creds = wanted.creds.display();
    let who = match Credentials::load(&wanted.creds) {
        Ok(credentials) => format!("device {}", credentials.user().name),
        Err(error) => format!("somebody, but cannot be used ({error})"),
    };
    bail!("{creds} makes this device {who}; to make it a new one, give --force")
}

async fn ask(wanted: &Wanted, request: &EnrollRequest) -> anyhow::Result<EnrollAnswer> {
    let poster = Poster::new(&wanted.url, wanted.web_ca.as_deref())?;
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
    let mut tries = 1;
    loop {
        match poster.enroll(request).await {
            Ok(answer) => return Ok(answer),
            Err(Failed::Refused(why)) => bail!("{why}"),
            Err(Failed::Away(why)) if tries == TRIES_MAX => {
                bail!("{why}; tried {TRIES_MAX} times, and trying again later takes no second use")
            }
            Err(Failed::Away(why)) => {
                crate::print::complain(&format!("{why}; trying again"));
                tokio::time::sleep(backoff.next_delay()).await;
                tries += 1;
            }
        }
    }
}

/// A path with `end` after its file name.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    path.with_file_name(name)
}
