//! Files with secrets in them.
//!
//! Promises: a file is written whole (temporary name, sync, then its own name) with mode 0600, and
//! an existing one stays as it is unless it is [`replace`]d. Refuses: to read a file or use a directory that others can.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;

use crate::{JWT_MAX_BYTES, file_access};

/// Longest secret file that is read, in bytes: a JWT with its seed and decoration.
const SECRET_FILE_MAX_BYTES: u64 = JWT_MAX_BYTES as u64 + 4096;
/// Mode that a file with secrets is to have.
const FILE_MODE: u32 = 0o600;
/// Mode that a directory with secrets is to have.
const DIRECTORY_MODE: u32 = 0o700;
/// What nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// A secret file or directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Others can read or write it.
    #[error(
        "{path} has mode {mode:04o}, which lets others in; run: chmod {wanted:04o} {path}",
        path = path.display()
    )]
    TooOpen {
        /// The file or directory.
        path: PathBuf,
        /// The mode found.
        mode: u32,
        /// The mode to set.
        wanted: u32,
    },
    /// Not there.
    #[error("{} does not exist", .0.display())]
    Absent(PathBuf),
    /// There already; secrets are never overwritten.
    #[error("{} exists and is not overwritten; move it away if it is no longer needed", .0.display())]
    Exists(PathBuf),
    /// Not a plain file of a sensible size, or not a directory.
    #[error("{path} is not {wanted}", path = path.display())]
    OtherKind {
        /// The path.
        path: PathBuf,
        /// What was expected.
        wanted: &'static str,
    },
    /// The system refused.
    #[error("{action} {path} failed", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Absent(path.to_owned()),
        _ => KeyFileError::Io { action, path: path.to_owned(), source },
    }
}

fn refuse_open_mode(path: &Path, about: &Metadata, wanted: u32) -> Result<(), KeyFileError> {
    match file_access::mode(about) {
        Some(mode) if mode & OTHERS != 0 => {
            Err(KeyFileError::TooOpen { path: path.to_owned(), mode: mode & 0o7777, wanted })
        }
        _ => Ok(()),
    }
}

/// Checks that a file with a secret is closed to others, wherever a link to it leads.
///
/// # Errors
/// It is open to others, or cannot be looked at.
pub fn refuse_open_file(path: &Path) -> Result<(), KeyFileError> {
    let about = fs::metadata(path).map_err(io_error("looking at", path))?;
    refuse_open_mode(path, &about, FILE_MODE)
}

/// Reads a secret file, without the white space around it.
pub(crate) fn read(path: &Path) -> Result<SecretString, KeyFileError> {
    // Not through a link: its target's directory could be open to others.
    let about = fs::symlink_metadata(path).map_err(io_error("looking at", path))?;
    if !about.is_file() || about.len() > SECRET_FILE_MAX_BYTES {
        let wanted = "a plain file of at most 1 MiB (and no link)";
        return Err(KeyFileError::OtherKind { path: path.to_owned(), wanted });
    }
    let file = File::open(path).map_err(io_error("opening", path))?;
    let about = file.metadata().map_err(io_error("looking at", path))?;
    refuse_open_mode(path, &about, FILE_MODE)?;
    let mut text = Zeroizing::new(String::new());
    file.take(SECRET_FILE_MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(io_error("reading", path))?;
    Ok(SecretString::from(text.trim()))
}

/// Writes a new secret file; its directory must exist.
pub(crate) fn create(path: &Path, content: &SecretString) -> Result<(), KeyFileError> {
    let (file, directory) = write_aside(path, content)?;
    if let Err(error) = file.persist_noclobber(path) {
        return match error.error.kind() {
            io::ErrorKind::AlreadyExists => Err(KeyFileError::Exists(path.to_owned())),
            _ => Err(io_error("naming", path)(error.error)),
        };
    }
    sync_directory(&directory)
}

/// Writes a secret file in place of one that may be there; at every instant it is one of the two.
pub(crate) fn replace(path: &Path, content: &SecretString) -> Result<(), KeyFileError> {
    let (file, directory) = write_aside(path, content)?;
    file.persist(path).map_err(|error| io_error("naming", path)(error.error))?;
    sync_directory(&directory)
}

/// The content in a file beside `path` that has no name of its own yet, and their directory.
fn write_aside(
    path: &Path,
    content: &SecretString,
) -> Result<(NamedTempFile, PathBuf), KeyFileError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file =
        file_access::private_temporary(directory).map_err(io_error("writing into", directory))?;
    let text = content.expose_secret();
    file.write_all(text.as_bytes()).map_err(io_error("writing", path))?;
    if !text.ends_with('\n') {
        file.write_all(b"\n").map_err(io_error("writing", path))?;
    }
    file.as_file().sync_all().map_err(io_error("syncing", path))?;
    Ok((file, directory.to_owned()))
}

/// Makes a directory for secrets where there is none, and checks one that is there.
pub(crate) fn ensure_directory(path: &Path) -> Result<(), KeyFileError> {
    let made = file_access::private_directory().create(path);
    match made {
        Ok(()) => {
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_directory(parent)?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error("making", path)(error)),
    }
    check_directory(path)
}

/// Checks that a directory is there and closed to others.
pub(crate) fn check_directory(path: &Path) -> Result<(), KeyFileError> {
    let about = fs::metadata(path).map_err(io_error("looking at", path))?;
    if !about.is_dir() {
        return Err(KeyFileError::OtherKind { path: path.to_owned(), wanted: "a directory" });
    }
    refuse_open_mode(path, &about, DIRECTORY_MODE)
}

/// Opens (or makes) the file that stands for the right to change something.
pub(crate) fn open_lock(path: &Path) -> Result<File, KeyFileError> {
    file_access::private_file().open(path).map_err(io_error("opening", path))
}

fn sync_directory(path: &Path) -> Result<(), KeyFileError> {
    file_access::sync_directory(path).map_err(io_error("syncing", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("signing.nk");
        create(&path, &SecretString::from("secret")).unwrap();
        assert_eq!(read(&path).unwrap().expose_secret(), "secret");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        let shown = path.display();
        assert_eq!(
            error,
            format!("{shown} has mode 0640, which lets others in; run: chmod 0600 {shown}")
        );
    }

    #[test]
    fn an_existing_file_stays_as_it_is_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.nk");
        create(&path, &SecretString::from("first")).unwrap();
        let error = create(&path, &SecretString::from("second")).unwrap_err();
        assert!(matches!(error, KeyFileError::Exists(_)), "{error}");
        assert_eq!(read(&path).unwrap().expose_secret(), "first");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, FILE_MODE);
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.nk");
        create(&path, &SecretString::from("first")).unwrap();
        let link = directory.path().join("link.nk");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(read(&link), Err(KeyFileError::OtherKind { .. })));
    }
}
