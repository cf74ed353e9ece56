//! Our own programs, run as users run them, and killed as life kills them.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use super::{eventually, eventually_within};

/// A running program; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program of this workspace with `environment` and nothing else of ours.
    pub(crate) fn start(
        program: &str,
        environment: &[(String, String)],
        dir: &Path,
    ) -> Result<Self> {
        Self::start_with(program, &[], environment, dir)
    }

    /// The same with arguments.
    pub(crate) fn start_with(
        program: &str,
        arguments: &[&str],
        environment: &[(String, String)],
        dir: &Path,
    ) -> Result<Self> {
        let log = dir.join(format!("{program}-{}.log", Uuid::now_v7()));
        // Both at the end of it, or what is printed would stand over what was logged.
        let end = || File::options().create(true).append(true).open(&log);
        let child = Command::new(executable(program)?)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(end()?)
            .stderr(end()?)
            .spawn()
            .with_context(|| format!("start {program}"))?;
        Ok(Self { child, log })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Most memory that it ever had resident, in bytes.
    pub(crate) fn peak_resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("VmHWM")?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// Waits until it has logged `text`.
    pub(crate) async fn logs(&self, text: &str) -> Result<()> {
        eventually(&format!("log line {text:?} in\n{}", self.log()), async || {
            Ok(self.log().contains(text).then_some(()))
        })
        .await
    }

    /// SIGKILL: no chance to say goodbye.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then its exit status.
    pub(crate) async fn stop(&mut self) -> Result<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let limit = Duration::from_secs(15);
        let status =
            eventually_within(limit, "exit after SIGTERM", async || Ok(self.child.try_wait()?))
                .await?;
        anyhow::ensure!(status.signal().is_none(), "it was killed: {status}\n{}", self.log());
        Ok(status)
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "the test runner shows it where the story fails")]
    fn drop(&mut self) {
        let _ = self.kill();
        // Shown only where the story fails.
        if cfg!(test) {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

/// Built beside the test binary by `make test`, which builds all programs first.
pub(crate) fn executable(program: &str) -> Result<PathBuf> {
    let tests = std::env::current_exe()?;
    // A test lies in target/{profile}/deps, a program in target/{profile}.
    let beside = tests.ancestors().skip(1).take(2).map(|dir| dir.join(program));
    let mut found = beside.filter(|path| path.is_file());
    found.next().with_context(|| format!("{program} is not built; run `make test`"))
}
