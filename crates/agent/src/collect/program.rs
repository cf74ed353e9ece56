//! Running a program that is not ours, with bounds.
//!
//! Promises: no shell, an empty environment but PATH; it ends within its time with all that it
//! started in its process group; its output is bounded. Refuses: a program that others could
//! replace.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::replaceable;

/// Most output that is read, in bytes.
const OUTPUT_MAX_BYTES: u64 = 64 * 1024;
/// What the program finds others by.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How often it is looked whether the program ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A program, its arguments, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) timeout: Duration,
}

/// Runs one program at a time.
#[derive(Default)]
pub(super) struct Runner {
    reading: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
}

impl Runner {
    /// What the program printed.
    ///
    /// # Errors
    /// It cannot be run, failed, took too long or printed too much.
    pub(super) fn run(&mut self, program: &Program) -> anyhow::Result<Vec<u8>> {
        if self.reading.as_ref().is_some_and(|reading| !reading.is_finished()) {
            bail!("something that it started on an earlier run still holds its output open");
        }
        let shown = program.path.display();
        replaceable::refuse(&program.path)?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear().env("PATH", PATH);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        alone(&mut command);
        let mut child = command.spawn().with_context(|| format!("starting {shown}"))?;
        let deadline = Instant::now() + program.timeout;
        if let Some(out) = child.stdout.take() {
            self.reading = Some(std::thread::spawn(move || {
                let mut text = Vec::new();
                out.take(OUTPUT_MAX_BYTES + 1).read_to_end(&mut text).map(|_| text)
            }));
        }
        let ended = wait(&mut child, deadline);
        // Also after a good end: what it left running is not to pile up.
        end_group(&mut child);
        let Some(status) = ended? else {
            bail!("{shown} was not done within {} ms and was ended", program.timeout.as_millis());
        };
        ensure!(status.success(), "{shown} failed: {status}");
        let grace = deadline.max(Instant::now() + LOOK_EVERY * 10);
        let text = self.output(grace)?;
        let limit = OUTPUT_MAX_BYTES;
        ensure!(text.len() as u64 <= limit, "{shown} printed more than {limit} bytes");
        Ok(text)
    }

    fn output(&mut self, until: Instant) -> anyhow::Result<Vec<u8>> {
        while self.reading.as_ref().is_some_and(|reading| !reading.is_finished()) {
            ensure!(Instant::now() < until, "something that it started holds its output open");
            std::thread::sleep(LOOK_EVERY);
        }
        let reading = self.reading.take().context("its output is not read")?;
        let text = reading.join().map_err(|_| anyhow::anyhow!("reading its output broke down"))?;
        text.context("reading its output")
    }
}

/// Until it ends, `None` where it does not in time. A program that prints too much blocks on its
/// pipe and runs into the same bound.
fn wait(child: &mut Child, deadline: Instant) -> anyhow::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait().context("waiting for it")? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(unix)]
fn alone(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(not(unix))]
fn alone(_command: &mut Command) {}

fn end_group(child: &mut Child) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // Nobody may be left in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    // It may have ended.
    let _ = child.kill();
    let _ = child.wait();
}
