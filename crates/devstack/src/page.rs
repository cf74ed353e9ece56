//! Building the page that `wegweiser-web` serves: `crates/web/page` into `crates/web/page/dist`.
//!
//! Promises: does nothing where nothing has changed; what is installed is what the lock file pins,
//! and no package's own scripts are run. Refuses to: build where a file is newer than what it is
//! built of by mistake of a clock: `dist/` may be removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};

use crate::output;
use crate::stack_dir::repository_root;
use crate::tools::{self, Node};

/// What is built of: these files and folders of the page's directory.
const SOURCES: [&str; 7] = [
    "index.html",
    "package.json",
    "package-lock.json",
    "public",
    "src",
    "tsconfig.json",
    "vite.config.ts",
];

/// Builds the page unless what is built is newer than its sources.
///
/// # Errors
/// When there is no Node.js and none can be installed, or the build fails; with what it printed.
pub fn build() -> Result<()> {
    let page = page_dir()?;
    let built = newest(&page.join("dist/index.html"));
    let sources = SOURCES.iter().filter_map(|name| newest(&page.join(name))).max();
    if built.is_some() && built >= sources {
        return Ok(());
    }
    let node = install()?;
    output::note(&format!("building the page with {}", node.tool()));
    run(node.script(Path::new("node_modules/vite/bin/vite.js")).arg("build"), &page)
}

/// Installs what the lock file pins, unless it is there, and returns the Node.js for it.
///
/// # Errors
/// When there is no way to Node.js or to npm's registry.
pub fn install() -> Result<Node> {
    let page = page_dir()?;
    let node = tools::node()?;
    // npm writes it last.
    let installed = newest(&page.join("node_modules/.package-lock.json"));
    if installed.is_none() || installed < newest(&page.join("package-lock.json")) {
        output::note(&format!("installing what the page is built with, with {}", node.tool()));
        run(node.npm().args(["ci", "--no-audit", "--no-fund"]), &page)?;
    }
    Ok(node)
}

/// The page's sources.
///
/// # Errors
/// When the current directory is not within the repository.
pub fn page_dir() -> Result<PathBuf> {
    Ok(repository_root()?.join("crates/web/page"))
}

fn run(command: &mut Command, directory: &Path) -> Result<()> {
    let output = command.current_dir(directory).output().context("running node")?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// When a file, or the newest file below a directory, was changed. `None`: there is none.
fn newest(path: &Path) -> Option<SystemTime> {
    let about = fs::metadata(path).ok()?;
    let mut found = about.modified().ok();
    if about.is_dir() {
        for entry in fs::read_dir(path).ok()?.flatten() {
            found = found.max(newest(&entry.path()));
        }
    }
    found
}
