//! The agent as a service: systemd on Linux, launchd on macOS, the task scheduler on Windows. What
//! differs between them is in this folder.
//!
//! Promises: the configuration is checked before a service is made of it; what it writes it names.
//! Refuses: to make a service of a program that others could replace.

#[cfg(any(target_os = "macos", test))]
mod launchd;
#[cfg(target_os = "linux")]
mod systemd;
#[cfg(any(windows, test))]
mod task_scheduler;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

#[cfg(target_os = "macos")]
use launchd as platform;
#[cfg(target_os = "linux")]
use systemd as platform;
#[cfg(windows)]
use task_scheduler as platform;

/// What a service is made of.
#[derive(Debug)]
pub(crate) struct Service {
    /// The agent's program.
    pub(crate) program: PathBuf,
    /// Its configuration file.
    pub(crate) config: PathBuf,
    /// Its credentials, which become the service's user's where it has one of its own.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no user of its own there"))]
    pub(crate) creds: Option<PathBuf>,
}

/// Makes it a service that starts with the machine, and starts it; below `root` only its files are
/// written. Returns what was done.
///
/// # Errors
/// What could not be done, with the remedy.
pub(crate) fn install(service: &Service, root: Option<&Path>) -> anyhow::Result<Vec<String>> {
    for path in [&service.program, &service.config] {
        let shown = path.display();
        ensure!(path.is_absolute(), "{shown} is no absolute path; the service needs the whole");
        let plain = |c: char| c.is_ascii_alphanumeric() || "/\\:._-+ ()".contains(c);
        let text = path.to_str().filter(|text| text.chars().all(plain));
        ensure!(text.is_some(), "{shown} has characters that a service's file may not have");
    }
    crate::replaceable::refuse(&service.program)?;
    platform::install(service, root)
}

/// Stops the service and removes it. Returns what was done.
///
/// # Errors
/// What could not be done.
pub(crate) fn uninstall(root: Option<&Path>) -> anyhow::Result<Vec<String>> {
    platform::uninstall(root)
}

/// What the service manager says of the service, in a few words.
///
/// # Errors
/// It cannot be asked.
pub(crate) fn state() -> anyhow::Result<String> {
    platform::state()
}

/// Writes one of the service's files.
fn write(path: &Path, text: &str) -> anyhow::Result<String> {
    let shown = path.display();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making the folder of {shown}"))?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {shown}; run it as root"))?;
    Ok(format!("wrote {shown}"))
}

/// Removes one of the service's files; `None` where it was not there.
fn remove(path: &Path) -> anyhow::Result<Option<String>> {
    let shown = path.display();
    match std::fs::remove_file(path) {
        Ok(()) => Ok(Some(format!("removed {shown}"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("removing {shown}; run it as root")),
    }
}

/// What a program of the system says.
fn ask(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let shown = || format!("{program} {}", arguments.join(" "));
    let asked = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = asked.with_context(shown)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}: {}", shown(), output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Has a program of the system do something; returns what it was.
fn have(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    ask(program, arguments).map(|_| format!("ran {program} {}", arguments.join(" ")))
}
