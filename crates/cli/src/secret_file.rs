//! A secret that is handed out in a file: new, mode 0600, or not at all.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

/// Writes the secret to a new file; `option` is what named the file.
///
/// # Errors
/// There is such a file already, or it cannot be written.
pub(crate) fn write_new(path: &Path, option: &str, secret: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        writeln!(file, "{secret}")?;
        file.sync_all()
    });
    written.with_context(|| format!("writing {option} {}; give a new file", path.display()))
}
