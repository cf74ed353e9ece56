//! The operator's verbs: up, down, status, clean.
//!
//! Promises: `up` and `down` may be said twice; `down` ends the local stack and nothing else, and
//! returns when it has ended. Refuses to: signal a process that does not hold the stack's lock.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::BrokerFiles;
use super::state::{self, State};
use crate::account::relocated;
use crate::postgres::template_home;
use crate::{dir_lock, output, tools};

/// The first start installs nothing (that is done before), but `initdb` and three servers take time.
const UP_WITHIN: Duration = Duration::from_secs(60);
/// A server that does not stop is killed after 5 s; then the owner itself.
const DOWN_WITHIN: Duration = Duration::from_secs(6);
const KILLED_WITHIN: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// What `clean` leaves: downloads and builds of tools, which hold no data.
const TOOLS_KEPT: [&str; 4] = ["venv", "venv.lock", "pip", "cargo"];

/// Starts the local stack in the background, unless it runs, and prints its addresses.
///
/// # Errors
/// When it does not come up.
pub fn up(stack: &Path, broker: &BrokerFiles) -> Result<()> {
    let _turn = my_turn(stack)?;
    if let Some(running) = running(stack)? {
        if running.servers.iter().all(state::Server::is_running) {
            output::line("the local stack runs already");
            print_servers(&running);
            return Ok(());
        }
        output::line("a server of the local stack has ended; starting it again");
        stop_owner(stack)?;
    }
    for tool in tools::of_local_stack()? {
        output::line(&tool.to_string());
    }
    let log = stack.join("serve.log");
    let mut owner = spawn_owner(stack, broker, &log)?;
    let started = wait_for(UP_WITHIN, || match owner.try_wait() {
        Ok(Some(status)) => Some(Err(status)),
        // A killed predecessor may have left a state behind.
        _ => state::read(stack).filter(|state| state.pid == owner.id()).map(Ok),
    });
    match started {
        Some(Ok(running)) => {
            print_servers(&running);
            output::line(&format!("source {} to use it", super::env_file_path(stack).display()));
            Ok(())
        }
        Some(Err(status)) => Err(owner_failed(status, &log)),
        None => {
            stop_owner(stack)?;
            bail!(
                "the local stack was not up after {} s; see {}",
                UP_WITHIN.as_secs(),
                log.display()
            )
        }
    }
}

/// Stops the local stack and waits until it has ended; fine when none runs.
///
/// # Errors
/// When it cannot be ended.
pub fn down(stack: &Path) -> Result<()> {
    let _turn = my_turn(stack)?;
    if stop_owner(stack)? {
        output::line("the local stack has stopped");
    } else {
        output::line("no local stack runs");
    }
    Ok(())
}

/// Prints what runs. `true`: all of it.
///
/// # Errors
/// When that cannot be told.
pub fn status(stack: &Path) -> Result<bool> {
    let Some(running) = running(stack)? else {
        output::line("no local stack runs");
        return Ok(false);
    };
    print_servers(&running);
    Ok(running.servers.iter().all(state::Server::is_running))
}

/// Stops the local stack and removes its data, keys and logs. Installed tools stay.
///
/// # Errors
/// When it cannot be ended, or something not be removed.
pub fn clean(stack: &Path) -> Result<()> {
    let _turn = my_turn(stack)?;
    stop_owner(stack)?;
    for dir in [stack.join("postgres"), template_home(stack)] {
        remove(&relocated(&dir))?;
    }
    let entries = fs::read_dir(stack).with_context(|| format!("reading {}", stack.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", stack.display()))?;
        let name = entry.file_name();
        if !TOOLS_KEPT.iter().any(|kept| name == *kept) {
            remove(&entry.path())?;
        }
    }
    output::line(&format!("{} is clean", stack.display()));
    Ok(())
}

/// One `up` or `down` at a time.
fn my_turn(stack: &Path) -> Result<File> {
    let path = stack.join("turn.lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    file.lock().with_context(|| format!("waiting for {}", path.display()))?;
    Ok(file)
}

fn running(stack: &Path) -> Result<Option<State>> {
    Ok(state::owner(stack)?.and_then(|_| state::read(stack)))
}

/// The owner gets a session of its own, so that it outlives the terminal.
fn spawn_owner(stack: &Path, broker: &BrokerFiles, log: &Path) -> Result<Child> {
    let program = std::env::current_exe().context("finding this program")?;
    let log_file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let mut command = Command::new("setsid");
    command.arg(program).arg("serve");
    let files = [("--nats-config", &broker.nats_config), ("--nats-creds", &broker.nats_creds)];
    for (flag, file) in files {
        if let Some(file) = file {
            let file = fs::canonicalize(file)
                .with_context(|| format!("finding {} of {flag}", file.display()))?;
            command.arg(flag).arg(file);
        }
    }
    command
        .env(crate::STACK_DIR_VARIABLE, stack)
        .stdin(Stdio::null())
        .stdout(log_file.try_clone()?)
        .stderr(log_file)
        .spawn()
        .context("starting `setsid` (Debian: util-linux)")
}

fn owner_failed(status: ExitStatus, log: &Path) -> anyhow::Error {
    let said = fs::read_to_string(log).unwrap_or_default();
    anyhow::anyhow!("the local stack did not come up ({status}):\n{}", said.trim_end())
}

/// `false`: there was none.
fn stop_owner(stack: &Path) -> Result<bool> {
    let Some(pid) = state::owner(stack)? else {
        wait_servers_ended(stack)?;
        return Ok(false);
    };
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        bail!("serve.lock holds the impossible process id {pid}");
    };
    for (signal, within) in [(Signal::TERM, DOWN_WITHIN), (Signal::KILL, KILLED_WITHIN)] {
        match kill_process(pid, signal) {
            // It ended in between.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error).context("sending a signal to the local stack's owner"),
        }
        let ended = wait_for(within, || match state::owner(stack) {
            Ok(None) => Some(()),
            _ => None,
        });
        if ended.is_some() {
            wait_servers_ended(stack)?;
            return Ok(true);
        }
    }
    bail!("the local stack's owner (process {pid:?}) does not end")
}

/// An owner that was killed leaves the servers to their wardens, which take a moment.
fn wait_servers_ended(stack: &Path) -> Result<()> {
    let dirs = ["nats", "redis", "postgres"].map(|name| stack.join(name));
    for dir in dirs.iter().chain([&relocated(&stack.join("postgres"))]) {
        if dir.is_dir() {
            dir_lock::wait_unused(dir)?;
        }
    }
    Ok(())
}

fn wait_for<T>(within: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn print_servers(running: &State) {
    for server in &running.servers {
        let how = if server.is_running() {
            format!("process {}", server.pid)
        } else {
            format!("ENDED, see {}", server.log.display())
        };
        output::line(&format!("{:<9} {:<28} {how}", server.name, server.address));
    }
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
    }
}
