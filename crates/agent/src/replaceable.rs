//! What is run with the agent's rights must be for root or the agent's own user alone to change.

use std::path::Path;

/// # Errors
/// Others could replace the program: it or its folder is another user's, or others may write it.
#[cfg(unix)]
pub(crate) fn refuse(program: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    use anyhow::{Context as _, ensure};
    const OTHERS_WRITE: u32 = 0o022;
    let folder = program.parent().unwrap_or(Path::new("/"));
    for part in [program, folder] {
        let shown = part.display();
        let met = std::fs::metadata(part).with_context(|| format!("looking at {shown}"))?;
        let owner = met.uid();
        let ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
        ensure!(ours, "{shown} belongs to user {owner}; make it root's or the agent's own");
        let closed = met.mode() & OTHERS_WRITE == 0;
        ensure!(closed, "others may write {shown}; run: chmod go-w {shown}");
    }
    Ok(())
}

/// Elsewhere the folder's own rules have to do.
#[cfg(not(unix))]
pub(crate) fn refuse(_program: &Path) -> anyhow::Result<()> {
    Ok(())
}
