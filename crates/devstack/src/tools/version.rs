//! What a server says about its version.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

/// What `--version` says, such as `15.18`.
pub(crate) fn version_of(program: &Path) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("running {} --version", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match version_in(&said) {
        Some(version) => Ok(version.to_owned()),
        None => {
            bail!("`{} --version` ({}) gave no version: {said:?}", program.display(), output.status)
        }
    }
}

/// `nats-server: v2.15.1`, `Redis server v=7.0.15 sha=…`, `postgres (PostgreSQL) 15.18 (Debian…)`.
fn version_in(said: &str) -> Option<&str> {
    for word in said.split_whitespace() {
        let word = word.trim_start_matches("v=").trim_start_matches('v');
        if parse(word).is_some() {
            return Some(word);
        }
    }
    None
}

/// `None`: not a version.
pub(super) fn parse(version: &str) -> Option<Version> {
    let mut parts = version.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor: String = parts.next()?.chars().take_while(char::is_ascii_digit).collect();
    Some(Version(major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_each_server_says() {
        let said = [
            ("nats-server: v2.15.1\n", "2.15.1", Version(2, 15)),
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
                "7.0.15",
                Version(7, 0),
            ),
            ("Valkey server v=8.1.8 sha=00000000:1", "8.1.8", Version(8, 1)),
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", Version(15, 18)),
            ("postgres (PostgreSQL) 18.6", "18.6", Version(18, 6)),
        ];
        for (text, version, parsed) in said {
            assert_eq!(version_in(text), Some(version));
            assert_eq!(parse(version), Some(parsed));
        }
    }

    #[test]
    fn an_older_version_is_less() {
        assert!(parse("2.9.25") < Some(Version(2, 11)));
        assert!(parse("2.11.0") >= Some(Version(2, 11)));
        assert_eq!(version_in("command not found"), None);
    }
}
