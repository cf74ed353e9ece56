//! Where the local stack lives: `.stack/` at the root of the repository.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Names another directory in place of the repository's `.stack/`.
pub const STACK_DIR_VARIABLE: &str = "WEGWEISER_STACK_DIR";

/// The directory of the local stack: `WEGWEISER_STACK_DIR`, else `.stack/` in the repository that
/// the current directory is in. It is made if it is missing.
///
/// # Errors
/// When neither is there, or it cannot be made.
pub fn stack_dir() -> Result<PathBuf> {
    let dir = match std::env::var_os(STACK_DIR_VARIABLE) {
        Some(named) if !named.is_empty() => PathBuf::from(named),
        _ => repository_root()?.join(".stack"),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    std::fs::canonicalize(&dir).with_context(|| format!("resolving {}", dir.display()))
}

/// The root of the repository that the current directory is in.
pub(crate) fn repository_root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("finding the current directory")?;
    match here.ancestors().find(|dir| is_repository_root(dir)) {
        Some(root) => Ok(root.to_path_buf()),
        None => bail!(
            "{} is not within the Wegweiser repository; change into it or set {STACK_DIR_VARIABLE}",
            here.display()
        ),
    }
}

fn is_repository_root(dir: &Path) -> bool {
    dir.join("Cargo.lock").is_file() && dir.join("crates/devstack/Cargo.toml").is_file()
}
