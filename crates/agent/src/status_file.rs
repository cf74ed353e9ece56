//! The file that `wegweiser-agent status` reads: what the agent knows of itself, written anew as it
//! changes, and a lock beside it that is held for as long as the agent runs.
//!
//! A file in a directory that is in memory, rather than a socket: it is the same on every system,
//! nobody can hold the agent up by it, and it tells the last state of an agent that is gone.
//!
//! Promises: a reader sees a whole file; only the agent's user and group can read it. Refuses: to
//! end the agent because it cannot be written; the log says so once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::MissedTickBehavior;

use crate::condition::Report;

/// How often it is written.
pub(crate) const WRITE_EVERY: Duration = Duration::from_secs(5);
/// Largest file that is read.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Keeps the file for as long as the agent runs.
pub(crate) struct StatusFile {
    path: PathBuf,
    lock: Option<File>,
    trouble: Option<String>,
}

impl StatusFile {
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path, lock: None, trouble: None }
    }

    /// Writes what `report` says at once, then at its interval and whenever `changed` says so.
    pub(crate) async fn keep(
        mut self,
        report: impl Fn() -> Report,
        mut changed: tokio::sync::watch::Receiver<u64>,
    ) {
        let mut ticks = tokio::time::interval(WRITE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let written = self.write(&report());
            self.note(written.err().map(|error| format!("{error:#}")));
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = changed.changed() => {}
            }
        }
    }

    fn write(&mut self, report: &Report) -> anyhow::Result<()> {
        if self.lock.is_none() {
            self.lock = Some(hold(&self.path)?);
        }
        let shown = || format!("writing {}", self.path.display());
        let beside = self.path.with_extension("new");
        let mut file = private(&beside).with_context(shown)?;
        file.write_all(&serde_json::to_vec(report)?).with_context(shown)?;
        // Not synced: after a crash of the machine nobody asks what it said before.
        std::fs::rename(&beside, &self.path).with_context(shown)
    }

    fn note(&mut self, trouble: Option<String>) {
        if self.trouble == trouble {
            return;
        }
        match &trouble {
            Some(error) => tracing::warn!(error, "wegweiser-agent status will know nothing"),
            None => tracing::info!(file = %self.path.display(), "the status is written"),
        }
        self.trouble = trouble;
    }
}

/// Takes the lock that says that an agent runs.
fn hold(status: &Path) -> anyhow::Result<File> {
    let path = status.with_extension("lock");
    let shown = path.display();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("making {}; name another status.file", folder.display()))?;
    }
    let file =
        private(&path).with_context(|| format!("opening {shown}; name another status.file"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another agent holds {shown}; end it, or name another status.file")
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {shown}")),
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // Not through a link that somebody else has put there.
        let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        options.mode(0o640).custom_flags(no_link);
    }
    options.open(path)
}

/// What the file says.
pub(crate) enum Told {
    /// No agent runs; what the last one said at the end, if there was one.
    NotRunning(Option<Box<Report>>),
    /// An agent runs.
    Running(Box<Report>),
}

/// Reads what the agent of this machine says.
///
/// # Errors
/// There is something that cannot be read, with the remedy.
pub(crate) fn read(path: &Path) -> anyhow::Result<Told> {
    let shown = path.display();
    let report = match File::open(path) {
        Ok(file) => Some(Box::new(parse(&file).with_context(|| format!("reading {shown}"))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let remedy = || format!("reading {shown}; ask as root or as the agent's user");
            return Err(error).with_context(remedy);
        }
    };
    let lock = match File::open(path.with_extension("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Told::NotRunning(report));
        }
        Err(error) => return Err(error).with_context(|| format!("looking at the lock of {shown}")),
    };
    match (lock.try_lock_shared(), report) {
        (Ok(()), report) => Ok(Told::NotRunning(report)),
        (Err(TryLockError::WouldBlock), Some(report)) => Ok(Told::Running(report)),
        (Err(TryLockError::WouldBlock), None) => bail!("an agent runs and has not written {shown}"),
        (Err(TryLockError::Error(error)), _) => Err(error).context("asking whether an agent runs"),
    }
}

fn parse(file: &File) -> anyhow::Result<Report> {
    let bytes = file.metadata()?.len();
    ensure!(bytes <= FILE_MAX_BYTES, "it has {bytes} bytes, which no agent writes");
    serde_json::from_reader(std::io::BufReader::new(file)).context("it is not of this version")
}
