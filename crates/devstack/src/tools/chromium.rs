//! Chromium for the tests of the page: the machine's own, else Debian's packages, unpacked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

use super::debian;
use crate::stack_dir::stack_dir;

/// A browser, and the environment that it needs to start.
#[derive(Debug, Clone, Default)]
pub struct Chromium {
    /// The executable.
    pub program: PathBuf,
    /// Variables to set for it: where its libraries and fonts are.
    pub environment: BTreeMap<&'static str, String>,
}

/// The Chromium to use; unpacks Debian's and what it depends on when there is none.
///
/// # Errors
/// When the packages can neither be downloaded nor unpacked.
pub fn chromium() -> Result<Chromium> {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    for directory in std::env::split_paths(&search_path) {
        let program = directory.join("chromium");
        if program.is_file() {
            return Ok(Chromium { program, environment: BTreeMap::new() });
        }
    }
    let root = debian::with_dependencies(&stack_dir()?, "chromium", "usr/lib/chromium/chromium")?;
    let libraries = root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    // PulseAudio keeps a library of its own in a folder of its own.
    let places = format!("{0}:{0}/pulseaudio", libraries.display());
    let mut environment = BTreeMap::from([("LD_LIBRARY_PATH", places)]);
    // Fonts come along where the machine has none.
    if root.join("etc/fonts/fonts.conf").is_file() {
        environment.insert("FONTCONFIG_SYSROOT", root.display().to_string());
    }
    Ok(Chromium { program: root.join("usr/lib/chromium/chromium"), environment })
}
