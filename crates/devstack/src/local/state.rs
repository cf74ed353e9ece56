//! What the local stack leaves in `.stack/` for others to find it: who runs it, and where.
//!
//! Promises: whether it runs is told by a lock that the kernel lets go of with its holder, never by a
//! pid that may be someone else's by now.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

const LOCK_FILE: &str = "serve.lock";
const STATE_FILE: &str = "state.json";
const PORTS_FILE: &str = "ports.json";

/// A running local stack.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The process that owns the servers.
    pub(super) pid: u32,
    pub(super) servers: Vec<Server>,
}

/// One of its servers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) pid: u32,
    /// When that process began, so that a later one with the same pid is not taken for it.
    pub(super) began: Option<u64>,
    pub(super) log: PathBuf,
}

impl Server {
    pub(super) fn new(name: &str, address: &str, pid: u32, log: &Path) -> Self {
        Self {
            name: name.to_owned(),
            address: address.to_owned(),
            pid,
            began: began(pid),
            log: log.to_path_buf(),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.began.is_some() && began(self.pid) == self.began
    }
}

/// When a live process began, in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
fn began(pid: u32) -> Option<u64> {
    const STATE_AFTER_NAME: usize = 0;
    const BEGAN_AFTER_NAME: usize = 19;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    if *fields.get(STATE_AFTER_NAME)? == "Z" {
        return None;
    }
    fields.get(BEGAN_AFTER_NAME)?.parse().ok()
}

/// Held by the process that runs the local stack.
#[derive(Debug)]
pub(super) struct ServeLock {
    _file: File,
    stack: PathBuf,
}

impl ServeLock {
    pub(super) fn acquire(stack: &Path) -> Result<Self> {
        let mut file = open_lock(stack)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("the local stack in {} runs already; `make down` stops it", stack.display());
            }
            Err(TryLockError::Error(error)) => return Err(error).context("locking serve.lock"),
        }
        remove_state(stack);
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { _file: file, stack: stack.to_path_buf() })
    }

    /// Tells that everything runs.
    pub(super) fn publish(&self, state: &State) -> Result<()> {
        let text = serde_json::to_string_pretty(state)?;
        write_whole(&self.stack.join(STATE_FILE), text.as_bytes())
    }

    /// Tells that it does so no longer.
    pub(super) fn withdraw(&self) {
        remove_state(&self.stack);
    }
}

/// A state that was left by a killed owner must not be taken for news.
fn remove_state(stack: &Path) {
    let _ = fs::remove_file(stack.join(STATE_FILE));
}

/// The process that runs the local stack, if one does.
pub(super) fn owner(stack: &Path) -> Result<Option<u32>> {
    let file = open_lock(stack)?;
    match file.try_lock_shared() {
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error).context("locking serve.lock"),
    }
    let path = stack.join(LOCK_FILE);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let pid = text.trim().parse().with_context(|| {
        format!("{} holds {text:?} where a process id was expected", path.display())
    })?;
    Ok(Some(pid))
}

/// What the owner has published; `None` while it is still starting or already stopping.
pub(super) fn read(stack: &Path) -> Option<State> {
    serde_json::from_slice(&fs::read(stack.join(STATE_FILE)).ok()?).ok()
}

fn open_lock(stack: &Path) -> Result<File> {
    let path = stack.join(LOCK_FILE);
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
}

/// The ports of the last start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ports {
    pub(super) nats: u16,
    pub(super) redis: u16,
    pub(super) postgres: u16,
}

impl Ports {
    /// `None` at the first start; an unreadable file only costs the habit.
    pub(super) fn load(stack: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(stack.join(PORTS_FILE)).ok()?).ok()
    }

    pub(super) fn save(&self, stack: &Path) -> Result<()> {
        write_whole(&stack.join(PORTS_FILE), &serde_json::to_vec(self)?)
    }
}

/// Replaces a file in one step, mode 0600.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)
        .with_context(|| format!("creating a file in {}", dir.display()))?;
    file.write_all(bytes)?;
    file.persist(path).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}
