//! A Redis that speaks TLS: the wheel's Valkey was built without.
//!
//! Promises: the machine's own where it can, else Debian's package, unpacked like every other.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian;

/// Redis itself and the libraries that a small machine does not have.
const PACKAGES: [&str; 4] = ["redis-tools", "libjemalloc2", "liblzf1", "libatomic1"];
/// What a server says that knows `tls-port` and has nothing to listen on.
const NOTHING_TO_LISTEN_ON: &str = "not listen anywhere";

/// The first of `on_machine` that can, else Debian's, made ready below `stack`.
///
/// # Errors
/// When the packages can neither be downloaded nor unpacked.
pub(super) fn program(stack: &Path, on_machine: Vec<PathBuf>) -> Result<(PathBuf, &'static str)> {
    for program in on_machine {
        if speaks_tls(&program)? {
            return Ok((program, "on this machine"));
        }
    }
    let programs = debian::programs(stack, &PACKAGES, "redis-check-rdb")?;
    Ok((startable(&programs)?, "Debian's package, for TLS"))
}

/// Whether it was built with TLS.
pub(super) fn speaks_tls(program: &Path) -> Result<bool> {
    let said = Command::new(program)
        .args(["--port", "0", "--tls-port", "0", "--save", ""])
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    let mut text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&said.stderr));
    Ok(text.contains(NOTHING_TO_LISTEN_ON))
}

/// One program is server and checker, by the name that it is called by; and its libraries are where
/// no loader looks.
fn startable(programs: &Path) -> Result<PathBuf> {
    let start = programs.join("redis-server-with-libraries");
    if start.is_file() {
        return Ok(start);
    }
    let server = programs.join("redis-server");
    if !server.exists() {
        symlink("redis-check-rdb", &server)
            .with_context(|| format!("naming {}", server.display()))?;
    }
    let text = "#!/bin/sh\n\
         # Written once, for Debian's redis-server outside its place.\n\
         here=$(dirname \"$0\")\n\
         libraries=$(echo \"$here\"/../lib/*-linux-gnu*)\n\
         LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\n\
         export LD_LIBRARY_PATH\n\
         exec \"$here/redis-server\" \"$@\"\n";
    let unfinished = programs.join(format!(".start.{}", std::process::id()));
    fs::write(&unfinished, text).with_context(|| format!("writing {}", unfinished.display()))?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755))?;
    fs::rename(&unfinished, &start).with_context(|| format!("naming {}", start.display()))?;
    Ok(start)
}
