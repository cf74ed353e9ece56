//! Running a program for a command: no shell, bounded, ended with all that it started.
//!
//! ```text
//! agent ─▶ wegweiser-agent launch (limits, niceness) ─exec─▶ program
//! ```
//! The limits are set in between, by this very program, so that what is started never runs without
//! them. Promises: the environment is empty but PATH, the folder is the root, standard input is
//! empty; when told to stop, the group is asked to end, and after [`GRACE`] made to. Refuses: a
//! program that others could replace.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use protocol::command::OutputStream;
use runtime::shutdown::CancellationToken;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::MissedTickBehavior;

use super::Limits;
use super::group::{self, Group};
use super::output::{CHUNK_MAX_BYTES, Output, Sink};

/// What the program finds others by.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a program that was asked to end is given before it is made to.
const GRACE: Duration = Duration::from_millis(1_000);
/// How long what was printed may wait to be told with more.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How long something that holds the output open is waited for once the program has ended.
const DRAIN_WITHIN: Duration = Duration::from_millis(300);
/// Output beyond the bound that is thrown away before the program is ended, in bytes.
const FLOOD_BYTES: u64 = 64 * 1024 * 1024;

/// How a program ended.
pub(super) struct Ran<'a> {
    /// `None`: it was ended, or the system does not tell.
    pub(super) status: Option<ExitStatus>,
    /// It was ended because it printed without end.
    pub(super) flooded: bool,
    pub(super) stdout: Output<'a>,
    pub(super) stderr: Output<'a>,
}

/// Runs a program until it ends, or is told to.
///
/// # Errors
/// It cannot be started.
pub(super) async fn run<'a>(
    path: &Path,
    arguments: &[String],
    limits: &Limits,
    (out, err): (Sink<'a>, Sink<'a>),
    stop: &CancellationToken,
) -> anyhow::Result<Ran<'a>> {
    let mut command = launching(path, arguments, limits)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    group::of_its_own(&mut command);
    let mut child = command.spawn().with_context(|| format!("starting {}", path.display()))?;
    let group = Group::of(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut ran = Ran {
        status: None,
        flooded: false,
        stdout: Output::new(OutputStream::Stdout, out, limits.output_max_bytes),
        stderr: Output::new(OutputStream::Stderr, err, limits.output_max_bytes),
    };
    let waited = {
        let following = follow((&mut ran.stdout, &mut ran.stderr), (stdout, stderr));
        tokio::pin!(following);
        tokio::select! {
            status = child.wait() => {
                // Also after a good end: what it left running is not to pile up.
                group.kill();
                let _ = tokio::time::timeout(DRAIN_WITHIN, &mut following).await;
                Waited::Ended(status.ok())
            }
            () = &mut following => Waited::Flooded,
            () = stop.cancelled() => Waited::Stopped,
        }
    };
    match waited {
        Waited::Ended(status) => ran.status = status,
        Waited::Stopped => end(&mut child, &group).await,
        Waited::Flooded => {
            ran.flooded = true;
            end(&mut child, &group).await;
        }
    }
    ran.stdout.end().await;
    ran.stderr.end().await;
    Ok(ran)
}

enum Waited {
    Ended(Option<ExitStatus>),
    Stopped,
    Flooded,
}

/// Asks the group to end, and makes it.
async fn end(child: &mut Child, group: &Group) {
    group.terminate();
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
    group.kill();
    let _ = child.start_kill();
    let _ = child.wait().await;
}

/// Takes what is printed; returns only when too much was.
async fn follow(
    (out, err): (&mut Output<'_>, &mut Output<'_>),
    (mut stdout, mut stderr): (Option<impl AsyncRead + Unpin>, Option<impl AsyncRead + Unpin>),
) {
    let (mut of_out, mut of_err) = (vec![0; CHUNK_MAX_BYTES], vec![0; CHUNK_MAX_BYTES]);
    let mut ticks = tokio::time::interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            count = read(&mut stdout, &mut of_out) => out.take(&of_out[..count]).await,
            count = read(&mut stderr, &mut of_err) => err.take(&of_err[..count]).await,
            _ = ticks.tick(), if out.has_more() || err.has_more() => {
                out.tell().await;
                err.tell().await;
            }
        }
        if out.printed + err.printed > FLOOD_BYTES {
            return;
        }
    }
}

/// Never returns for a stream that ended.
async fn read(stream: &mut Option<impl AsyncRead + Unpin>, into: &mut [u8]) -> usize {
    if let Some(open) = stream {
        match open.read(into).await {
            Ok(count @ 1..) => return count,
            Ok(0) | Err(_) => *stream = None,
        }
    }
    std::future::pending().await
}

#[cfg(unix)]
fn launching(path: &Path, arguments: &[String], limits: &Limits) -> anyhow::Result<Command> {
    // On Linux the file that runs, even if another has taken its name meanwhile.
    let ourselves = if cfg!(target_os = "linux") {
        "/proc/self/exe".into()
    } else {
        std::env::current_exe().context("finding this program's own file")?
    };
    let mut command = Command::new(ourselves);
    command.arg("launch").arg("--processes").arg(limits.processes_max.to_string());
    command.arg("--").arg(path).args(arguments);
    command.env_clear().env("PATH", PATH).current_dir("/");
    Ok(command)
}

#[cfg(not(unix))]
fn launching(path: &Path, arguments: &[String], _limits: &Limits) -> anyhow::Result<Command> {
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("PATH", PATH);
    // Without it no program starts there.
    if let Some(root) = std::env::var_os("SystemRoot") {
        command.env("SystemRoot", root);
    }
    Ok(command)
}
