//! Users of Redis as `deploy/redis/users.acl` has them, each with a password of its own.
//!
//! Promises: a password is generated once and stands in a file of mode 0600; the list that Redis
//! reads has hashes alone.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// What an operator deploys, but for the hashes of passwords.
const DEPLOYED: &str = include_str!("../../../../deploy/redis/users.acl");
const PASSWORD_RANDOM_BYTES: usize = 24;

/// Who signs in at Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisUser {
    /// `wegweiser-receiver`: writes rings.
    Receiver,
    /// `wegweiser-web`: reads rings.
    Web,
    /// `wegweiser`.
    Operator,
}

impl RedisUser {
    const ALL: [Self; 3] = [Self::Receiver, Self::Web, Self::Operator];

    /// By which name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receiver => "weg_receiver",
            Self::Web => "weg_web",
            Self::Operator => "weg_operator",
        }
    }

    const fn placeholder(self) -> &'static str {
        match self {
            Self::Receiver => "PASSWORD_SHA256_OF_RECEIVER",
            Self::Web => "PASSWORD_SHA256_OF_WEB",
            Self::Operator => "PASSWORD_SHA256_OF_OPERATOR",
        }
    }

    /// The file with the password, among those of `secrets`.
    #[must_use]
    pub fn password_file(self, secrets: &Path) -> PathBuf {
        secrets.join(format!("redis-{}", self.name()))
    }
}

/// Writes what `--aclfile` names, with passwords in `secrets`, made where they are missing.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn write_acl(secrets: &Path, acl: &Path) -> Result<()> {
    let mut text = DEPLOYED.to_owned();
    for user in RedisUser::ALL {
        let password = password(&user.password_file(secrets))?;
        let hash: String =
            Sha256::digest(password.trim()).iter().map(|byte| format!("{byte:02x}")).collect();
        text = text.replace(user.placeholder(), &hash);
    }
    let unfinished = acl.with_extension("new");
    fs::write(&unfinished, text).with_context(|| format!("writing {}", unfinished.display()))?;
    fs::rename(&unfinished, acl).with_context(|| format!("naming {}", acl.display()))
}

fn password(path: &Path) -> Result<String> {
    if !path.exists() {
        let random: [u8; PASSWORD_RANDOM_BYTES] = rand::random();
        let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{text}"));
        written.with_context(|| format!("writing {}", path.display()))?;
    }
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
