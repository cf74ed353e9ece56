//! One server process and the warden that holds it.
//!
//! Promises: the server ends when the process that started it ends, even by SIGKILL; when its
//! warden is killed; and when the handle is dropped. Signals go through a pidfd, so they cannot hit
//! a stranger that got the same pid later. Nothing is left unreaped.
//! Refuses to: restart anything by itself, or know what the server is for.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::account::Account;
use crate::dir_lock;
use crate::programs::Environment;

/// How long a server may take to stop before it is killed.
pub(crate) const STOP_GRACE_S: u64 = 5;
/// How much longer than the server's grace its warden may take to notice.
pub(crate) const WARDEN_GRACE_S: u64 = 2;
/// How much of a log an error quotes.
const LOG_TAIL_BYTES: u64 = 4096;

const WARDEN_SCRIPT: &str = include_str!("warden.sh");

/// What to run, and how.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Beside what this process has; secrets go here, since others can read arguments.
    pub(crate) environment: Environment,
    /// The signal that the server takes for "finish and exit", as `kill -s` names it.
    pub(crate) stop_signal: StopSignal,
    /// Whom to run as; `None`: as this process.
    pub(crate) account: Option<Account>,
    /// Working directory; also holds the log.
    pub(crate) dir: PathBuf,
    pub(crate) log: PathBuf,
}

/// The two signals that our servers take for a graceful stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSignal {
    /// Postgres: "fast shutdown", which does not wait for its clients.
    Int,
    /// Everyone else.
    Term,
}

impl StopSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Term => "TERM",
        }
    }

    fn number(self) -> Signal {
        match self {
            Self::Int => Signal::INT,
            Self::Term => Signal::TERM,
        }
    }
}

/// How the warden ended, told by the thread that waits for it.
#[derive(Debug, Default)]
struct Ending {
    status: Mutex<Option<ExitStatus>>,
    changed: Condvar,
}

/// A running server under its warden.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    pidfd: Option<OwnedFd>,
    warden_pid: u32,
    /// Closing it makes the warden end the server.
    lifeline: Option<ChildStdin>,
    ending: Arc<Ending>,
    stop_signal: StopSignal,
    log: PathBuf,
    /// Where this run's output begins in the log.
    log_offset: u64,
}

impl Process {
    /// Starts the server. Its process exists, not more, when this returns.
    pub(crate) fn spawn(launch: &Launch) -> Result<Self> {
        dir_lock::wait_unused(&launch.dir)?;
        let log_offset = log_length(&launch.log);
        let mut warden =
            warden_command(launch).spawn().context("starting sh for the server's warden")?;
        let lifeline = warden.stdin.take();
        let pid_line = first_line(&mut warden);
        let warden_pid = warden.id();
        let ending = wait_in_background(warden)?;

        let pid_line = pid_line.context("reading the server's pid from its warden")?;
        if pid_line.is_empty() {
            bail!(
                "the warden ended before it could start {}; it needs `setpriv` and `flock` (Debian: util-linux)",
                launch.program.display()
            );
        }
        let raw_pid: i32 = pid_line.trim().parse().with_context(|| {
            format!("the warden said {pid_line:?} where the server's pid was expected")
        })?;
        let Some(pid) = Pid::from_raw(raw_pid) else {
            bail!("the warden gave the impossible pid {raw_pid}");
        };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Some(pidfd),
            // It has ended already; whoever waits for readiness reports it with the log.
            Err(rustix::io::Errno::SRCH) => None,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("opening a handle on process {raw_pid}"));
            }
        };
        Ok(Self {
            pid: raw_pid.unsigned_abs(),
            pidfd,
            warden_pid,
            lifeline,
            ending,
            stop_signal: launch.stop_signal,
            log: launch.log.clone(),
            log_offset,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn log_path(&self) -> &Path {
        &self.log
    }

    /// Whether server and warden have both ended and been collected.
    pub(crate) fn has_ended(&self) -> bool {
        self.ending.lock().is_some()
    }

    /// Waits up to `bound` for the end. `true`: it has ended.
    pub(crate) fn wait_ended(&self, bound: Duration) -> bool {
        let status = self.ending.lock();
        let (status, _) = self
            .ending
            .changed
            .wait_timeout_while(status, bound, |status| status.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        status.is_some()
    }

    /// Sends `signal` to the server; a server that is gone already is no error.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pidfd) = &self.pidfd else {
            return Ok(());
        };
        match pidfd_send_signal(pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => {
                Err(error).with_context(|| format!("sending a signal to process {}", self.pid))
            }
        }
    }

    /// Asks the server to finish, and kills it if it has not within [`STOP_GRACE_S`].
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.has_ended() {
            return Ok(());
        }
        self.signal(self.stop_signal.number())?;
        // A stopped process takes no other signal until it is continued.
        self.signal(Signal::CONT)?;
        if self.wait_ended(Duration::from_secs(STOP_GRACE_S)) {
            return Ok(());
        }
        self.kill()
    }

    /// Ends the server at once, as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if self.wait_ended(Duration::from_secs(WARDEN_GRACE_S)) {
            return Ok(());
        }
        // Only a warden that was itself stopped or starved comes here; it acts on the lifeline.
        drop(self.lifeline.take());
        if self.wait_ended(Duration::from_secs(STOP_GRACE_S + WARDEN_GRACE_S)) {
            return Ok(());
        }
        bail!("process {} (warden {}) is still there after SIGKILL", self.pid, self.warden_pid)
    }

    /// What this run has logged, at most its last [`LOG_TAIL_BYTES`].
    pub(crate) fn log_tail(&self) -> String {
        let start = log_length(&self.log).saturating_sub(LOG_TAIL_BYTES).max(self.log_offset);
        let mut tail = Vec::new();
        if let Ok(mut file) = File::open(&self.log)
            && file.seek(SeekFrom::Start(start)).is_ok()
        {
            // An unreadable log must not hide the error that it is quoted for.
            let _ = file.take(LOG_TAIL_BYTES).read_to_end(&mut tail);
        }
        String::from_utf8_lossy(&tail).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The lifeline closes after this, so the warden tries again where this has failed.
        let _ = self.stop();
    }
}

impl Ending {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warden_command(launch: &Launch) -> Command {
    use std::os::unix::process::CommandExt as _;
    let setpriv_flags = launch.account.as_ref().map(Account::setpriv_flags).unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(WARDEN_SCRIPT)
        .arg("warden")
        .arg(launch.stop_signal.name())
        .arg(STOP_GRACE_S.to_string())
        .arg(dir_lock::path(&launch.dir))
        .arg(&launch.log)
        .arg(setpriv_flags.join(" "))
        .arg(&launch.program)
        .args(&launch.args)
        .current_dir(&launch.dir)
        .env_remove("PGDATA")
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What the warden itself complains about (setpriv missing, say) belongs to the caller.
        .stderr(Stdio::inherit())
        // A group of its own: Ctrl-C in a terminal reaches the owner, who stops things in order.
        .process_group(0);
    command
}

fn first_line(warden: &mut Child) -> Result<String> {
    let Some(stdout) = warden.stdout.take() else {
        bail!("the warden has no standard output");
    };
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok(line)
}

/// One thread per server collects its warden, so that no zombie is left behind.
fn wait_in_background(mut warden: Child) -> Result<Arc<Ending>> {
    let ending = Arc::new(Ending::default());
    let told = Arc::clone(&ending);
    std::thread::Builder::new()
        .name("warden-wait".to_owned())
        .spawn(move || {
            let status = warden.wait().unwrap_or_default();
            *told.lock() = Some(status);
            told.changed.notify_all();
        })
        .context("starting the thread that waits for a warden")?;
    Ok(ending)
}

fn log_length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |meta| meta.len())
}
