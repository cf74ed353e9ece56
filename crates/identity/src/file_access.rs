//! Who may open a file: the only place that knows how systems differ in it.
//!
//! Unix has modes, which are set and looked at. Elsewhere a file has the access list of its
//! directory, which whoever installs the program sets; nothing is looked at there.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Mode of files with secrets.
#[cfg(unix)]
const FILE_MODE: u32 = 0o600;
/// Mode of directories with secrets.
#[cfg(unix)]
const DIRECTORY_MODE: u32 = 0o700;

/// The mode bits, where there are any.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
pub(crate) fn mode(about: &Metadata) -> Option<u32> {
    Some(std::os::unix::fs::PermissionsExt::mode(&about.permissions()))
}

/// The mode bits, where there are any.
#[cfg(not(unix))]
pub(crate) fn mode(_about: &Metadata) -> Option<u32> {
    None
}

/// How to make a directory for its owner alone.
pub(crate) fn private_directory() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "Unix sets a mode"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, DIRECTORY_MODE);
    builder
}

/// How to make a file for its owner alone.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    options
}

/// A file for its owner alone, without a name that lasts.
pub(crate) fn private_temporary(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".new-");
    #[cfg(unix)]
    let mode: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(FILE_MODE);
    #[cfg(unix)]
    builder.permissions(mode);
    builder.tempfile_in(directory)
}

/// Without this a power loss could take back a name that was given.
#[cfg(unix)]
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    std::fs::File::open(path).and_then(|directory| directory.sync_all())
}

/// Other systems open no directory, and keep names in their journal.
#[cfg(not(unix))]
pub(crate) fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}
