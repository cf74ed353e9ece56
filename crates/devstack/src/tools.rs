//! Finding the servers: the machine's own when good enough, else pinned wheels from PyPI.
//!
//! Promises: each choice can be said in a line with its reason; an override that does not work is an
//! error, never passed over. Refuses to: install anything outside `.stack/`.

mod chromium;
mod debian;
mod node;
mod redis_tls;
mod venv;
mod version;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::stack_dir::stack_dir;
pub use chromium::{Chromium, chromium};
pub use node::{NODE_VARIABLE, Node, node};
pub use venv::{NATS_SERVER_WHEEL, NODE_WHEEL, POSTGRES_WHEEL, VALKEY_WHEEL, Wheel, python_with};
pub(crate) use version::version_of;
use version::{Version, parse};

/// Forces the nats-server executable.
pub const NATS_SERVER_VARIABLE: &str = "WEGWEISER_STACK_NATS_SERVER";
/// Forces the redis-server or valkey-server executable.
pub const REDIS_SERVER_VARIABLE: &str = "WEGWEISER_STACK_REDIS_SERVER";
/// Forces the directory of the Postgres executables.
pub const POSTGRES_BIN_VARIABLE: &str = "WEGWEISER_STACK_POSTGRES_BIN";

const NATS_SERVER_AT_LEAST: Version = Version(2, 15);
const REDIS_AT_LEAST: Version = Version(7, 0);
const POSTGRES_AT_LEAST: Version = Version(15, 0);
/// Where Debian keeps one directory per major version.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// A server program that was found, and why it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    name: &'static str,
    version: String,
    path: PathBuf,
    reason: String,
}

impl Tool {
    /// The executable; for Postgres the directory of its executables.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version that the program itself gives, such as `2.15.1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, path, reason } = self;
        write!(out, "{name} {version} from {} ({reason})", path.display())
    }
}

/// One kind of server and where to look for it.
struct Kind {
    name: &'static str,
    at_least: Version,
    variable: &'static str,
    /// Executables, in order of preference.
    programs: &'static [&'static str],
    wheel: Wheel,
    /// Whether [`Tool::path`] is the directory rather than the program.
    by_directory: bool,
}

const NATS_SERVER: Kind = Kind {
    name: "nats-server",
    at_least: NATS_SERVER_AT_LEAST,
    variable: NATS_SERVER_VARIABLE,
    programs: &["nats-server"],
    wheel: NATS_SERVER_WHEEL,
    by_directory: false,
};
const REDIS_SERVER: Kind = Kind {
    name: "redis",
    at_least: REDIS_AT_LEAST,
    variable: REDIS_SERVER_VARIABLE,
    programs: &["redis-server", "valkey-server"],
    wheel: VALKEY_WHEEL,
    by_directory: false,
};
const POSTGRES: Kind = Kind {
    name: "postgres",
    at_least: POSTGRES_AT_LEAST,
    variable: POSTGRES_BIN_VARIABLE,
    programs: &["postgres"],
    wheel: POSTGRES_WHEEL,
    by_directory: true,
};

/// Under this name the Redis with TLS is remembered.
const REDIS_WITH_TLS: &str = "redis with TLS";

/// What this process has found already, by the server's name.
static FOUND: Mutex<BTreeMap<&'static str, Tool>> = Mutex::new(BTreeMap::new());

/// The nats-server to use; installs the wheel when there is none.
///
/// # Errors
/// When an override does not work, or the wheel cannot be installed.
pub fn nats_server() -> Result<Tool> {
    find(&NATS_SERVER)
}

/// The Redis (or Valkey) server to use; installs the wheel when there is none.
///
/// # Errors
/// When an override does not work, or the wheel cannot be installed.
pub fn redis_server() -> Result<Tool> {
    find(&REDIS_SERVER)
}

/// A Redis server that speaks TLS; unpacks Debian's where this machine has none.
///
/// # Errors
/// When an override does not work, or the package can neither be downloaded nor unpacked.
pub fn redis_server_with_tls() -> Result<Tool> {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tool) = found.get(REDIS_WITH_TLS) {
        return Ok(tool.clone());
    }
    let forced = std::env::var_os(REDIS_SERVER_VARIABLE).filter(|value| !value.is_empty());
    let (program, reason) = match forced.map(PathBuf::from) {
        Some(forced) if redis_tls::speaks_tls(&forced)? => (forced, "named for it"),
        Some(forced) => {
            bail!("{REDIS_SERVER_VARIABLE} names {}, which speaks no TLS", forced.display())
        }
        None => redis_tls::program(&stack_dir()?, candidates(&REDIS_SERVER))?,
    };
    let version = version_of(&program)?;
    let tool = tool(&REDIS_SERVER, &program, version, reason.to_owned());
    found.insert(REDIS_WITH_TLS, tool.clone());
    Ok(tool)
}

/// The directory of the Postgres executables to use; installs the wheel when there is none.
///
/// # Errors
/// When an override does not work, or the wheel cannot be installed.
pub fn postgres() -> Result<Tool> {
    find(&POSTGRES)
}

/// The directory of `prometheus` and `promtool`: the machine's own when on `PATH`, else out of
/// Debian's package. Only tests and people who try our dashboards need them.
///
/// # Errors
/// When the package can neither be downloaded nor unpacked.
pub fn prometheus() -> Result<PathBuf> {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let both = |directory: &PathBuf| {
        ["prometheus", "promtool"].iter().all(|name| directory.join(name).is_file())
    };
    if let Some(directory) = std::env::split_paths(&search_path).find(both) {
        return Ok(directory);
    }
    debian::programs(&stack_dir()?, &["prometheus"], "promtool")
}

/// All three, in the order nats-server, Redis, Postgres.
///
/// # Errors
/// As for each of them.
pub fn all() -> Result<[Tool; 3]> {
    Ok([nats_server()?, redis_server()?, postgres()?])
}

/// What the local stack runs: as [`all`], with a Redis that speaks TLS where one is to be had.
///
/// # Errors
/// As for each of them.
pub fn of_local_stack() -> Result<[Tool; 3]> {
    let redis = redis_server_with_tls().or_else(|_| redis_server())?;
    Ok([nats_server()?, redis, postgres()?])
}

fn find(kind: &Kind) -> Result<Tool> {
    // Held while installing, so that two threads do not install twice.
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tool) = found.get(kind.name) {
        return Ok(tool.clone());
    }
    let tool = search(kind)?;
    found.insert(kind.name, tool.clone());
    Ok(tool)
}

fn search(kind: &Kind) -> Result<Tool> {
    if let Some(forced) = std::env::var_os(kind.variable).filter(|value| !value.is_empty()) {
        let program = in_directory(kind, Path::new(&forced));
        return forced_tool(kind, &program);
    }
    let mut passed_over = Vec::new();
    for program in candidates(kind) {
        match version_of(&program) {
            Ok(version) if parse(&version) >= Some(kind.at_least) => {
                return Ok(tool(kind, &program, version, "on this machine".to_owned()));
            }
            Ok(version) => passed_over.push(format!("{} is {version}", program.display())),
            Err(error) => passed_over.push(format!("{} fails: {error}", program.display())),
        }
    }
    if passed_over.is_empty() {
        passed_over.push("none on this machine".to_owned());
    }
    let program = kind.wheel.install()?;
    let version = version_of(&program)?;
    let reason = format!("wheel {}; {}", kind.wheel, passed_over.join(", "));
    Ok(tool(kind, &program, version, reason))
}

fn forced_tool(kind: &Kind, program: &Path) -> Result<Tool> {
    let context = || format!("using {} as {} says", program.display(), kind.variable);
    let version = version_of(program).with_context(context)?;
    if parse(&version) < Some(kind.at_least) {
        let Version(major, minor) = kind.at_least;
        bail!(
            "{} names {} {version}; at least {major}.{minor} is needed",
            kind.variable,
            program.display()
        );
    }
    let reason = format!("named by {}", kind.variable);
    Ok(tool(kind, program, version, reason))
}

fn tool(kind: &Kind, program: &Path, version: String, reason: String) -> Tool {
    let path = match program.parent() {
        Some(directory) if kind.by_directory => directory,
        _ => program,
    };
    Tool { name: kind.name, version, path: path.to_path_buf(), reason }
}

fn in_directory(kind: &Kind, named: &Path) -> PathBuf {
    match kind.programs.first() {
        Some(program) if kind.by_directory => named.join(program),
        _ => named.to_path_buf(),
    }
}

/// Executables of that name on the machine, the preferred first.
fn candidates(kind: &Kind) -> Vec<PathBuf> {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = Vec::new();
    for program in kind.programs {
        for directory in std::env::split_paths(&search_path) {
            found.push(directory.join(program));
        }
    }
    if kind.by_directory {
        found.extend(debian_postgres());
    }
    found.retain(|program| program.is_file());
    if kind.by_directory {
        // A link elsewhere does not have the other executables beside it.
        found = found.iter().flat_map(std::fs::canonicalize).collect();
    }
    found
}

/// Debian's Postgres servers, which are not on `PATH`; the newest first.
fn debian_postgres() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(DEBIAN_POSTGRES) else {
        return Vec::new();
    };
    let mut versions: Vec<u32> = Vec::new();
    for entry in entries.flatten() {
        versions.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let base = Path::new(DEBIAN_POSTGRES);
    let program = |version: &u32| base.join(version.to_string()).join("bin/postgres");
    versions.iter().map(program).collect()
}
