//! The unprivileged account that Postgres runs under when we are root, since it refuses root.
//!
//! Promises: whoever asks gets directories that this account can really reach, tried by acting as
//! the account, not by reading modes. Refuses to: create accounts or change a directory it did not
//! make.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};

const ACCOUNT_NAME: &str = "nobody";
/// Where directories go that the account cannot reach at their own place.
pub(crate) const RELOCATED_BASE: &str = "/var/tmp";

/// A user and group to run a server as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account to use: `None` unless this process is root.
    pub(crate) fn if_root() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [ACCOUNT_NAME, _, uid, gid, ..] = fields.as_slice() {
                let uid = uid.parse().context("reading the uid of nobody")?;
                let gid = gid.parse().context("reading the gid of nobody")?;
                return Ok(Some(Self { uid, gid }));
            }
        }
        bail!(
            "postgres refuses to run as root, and there is no user `{ACCOUNT_NAME}` to run it as; \
             run as another user"
        )
    }

    /// What `setpriv` needs to become this account.
    pub(crate) fn setpriv_flags(&self) -> Vec<String> {
        vec![
            format!("--reuid={}", self.uid),
            format!("--regid={}", self.gid),
            "--clear-groups".to_owned(),
        ]
    }

    /// A command that runs `program` as this account, or plainly where there is none.
    pub(crate) fn command(account: Option<&Self>, program: impl AsRef<Path>) -> Command {
        let Some(account) = account else {
            return Command::new(program.as_ref());
        };
        let mut command = Command::new("setpriv");
        command.args(account.setpriv_flags()).arg("--").arg(program.as_ref()).current_dir("/");
        command
    }

    /// Makes `path` the account's own.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("giving {} to {ACCOUNT_NAME}", path.display()))
    }

    /// Lets the account pass through a directory that stays ours.
    pub(crate) fn admit(&self, dir: &Path) -> Result<()> {
        chown(dir, None, Some(self.gid))
            .with_context(|| format!("giving {} the group of {ACCOUNT_NAME}", dir.display()))?;
        set_mode(dir, 0o750)
    }

    fn can_enter(&self, dir: &Path) -> bool {
        succeeds(Self::command(Some(self), "test").arg("-x").arg(dir))
    }

    /// Whether the account can execute `program`. Asked of a shell that runs as the account, since
    /// `setpriv` itself can still execute what root can.
    pub(crate) fn can_run(&self, program: &Path) -> bool {
        let mut shell = Self::command(Some(self), "sh");
        succeeds(shell.args(["-c", "exec \"$0\" --version"]).arg(program))
    }
}

/// Makes `dir` usable by `account` and returns where it is: at its own place, or, where the account
/// is locked out by a parent, at [`relocated`].
pub(crate) fn reachable_dir(dir: &Path, account: Option<&Account>) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let dir = fs::canonicalize(dir).with_context(|| format!("resolving {}", dir.display()))?;
    let Some(account) = account else {
        set_mode(&dir, 0o700)?;
        return Ok(dir);
    };
    account.admit(&dir)?;
    if account.can_enter(&dir) {
        return Ok(dir);
    }
    let elsewhere = relocated(&dir);
    create_private_dir(&elsewhere)?;
    account.admit(&elsewhere)?;
    if account.can_enter(&elsewhere) {
        return Ok(elsewhere);
    }
    bail!(
        "{ACCOUNT_NAME} can enter neither {} nor {}; run as another user than root",
        dir.display(),
        elsewhere.display()
    )
}

/// The place that stands in for `dir` (an absolute path) when the account cannot reach it.
pub(crate) fn relocated(dir: &Path) -> PathBuf {
    let digest = Sha256::digest(dir.as_os_str().as_bytes());
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Short, because a Unix socket's path must fit into 107 bytes.
    Path::new(RELOCATED_BASE).join(format!("wegweiser-{short}"))
}

/// In a directory where all may write, somebody else may have put something under our name.
fn create_private_dir(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => return set_mode(dir, 0o700),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("creating {}", dir.display())),
    }
    let found = fs::symlink_metadata(dir)?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    bail!("{} exists and is not a directory of ours; remove it", dir.display())
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", path.display()))
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
