//! Keys that sign commands: the newest signs, the newest two are believed.
//!
//! ```text
//! commands/{n}.nk        numbered in the order of their making
//! ```
//! Promises: a rotation leaves what the key before signed good until the next rotation; no key is
//! ever overwritten.

use std::path::{Path, PathBuf};

use crate::key_dir::{KeyDir, KeyDirError, ensure, load};
use crate::{KeyFileError, KeyKind, SecretKey, key_file};

/// Their folder within the key directory.
const FOLDER: &str = "commands";
/// Keys that are believed at one time.
const VALID_MAX: usize = 2;

impl KeyDir {
    /// The keys that are believed, newest first; none before the first was made.
    ///
    /// # Errors
    /// When a key is unusable.
    pub fn command_keys(&self) -> Result<Vec<SecretKey>, KeyDirError> {
        command_keys_in(&self.path().join(FOLDER))
    }

    /// Makes the first key where there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ensure_command_key(&self) -> Result<(), KeyDirError> {
        key_file::ensure_directory(&self.path().join(FOLDER))?;
        if self.command_key_numbers()?.is_empty() {
            ensure(&self.command_key_path(1), KeyKind::Signer)?;
        }
        Ok(())
    }

    /// Makes a new key, which signs from now on; the one before is believed until the next.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn rotate_command_key(&self) -> Result<(), KeyDirError> {
        key_file::ensure_directory(&self.path().join(FOLDER))?;
        let newest = self.command_key_numbers()?.first().copied().unwrap_or(0);
        ensure(&self.command_key_path(newest.saturating_add(1)), KeyKind::Signer).map(drop)
    }

    fn command_key_path(&self, number: u32) -> PathBuf {
        self.path().join(FOLDER).join(format!("{number}.nk"))
    }

    fn command_key_numbers(&self) -> Result<Vec<u32>, KeyDirError> {
        numbers(&self.path().join(FOLDER))
    }
}

/// The keys that are believed out of a folder that holds nothing else, newest first: for a service
/// that signs and may do nothing beyond.
///
/// # Errors
/// When the folder is open to others, or a key is unusable.
pub fn command_keys_in(folder: &Path) -> Result<Vec<SecretKey>, KeyDirError> {
    let mut numbers = numbers(folder)?;
    numbers.truncate(VALID_MAX);
    let load = |number: &u32| load(&folder.join(format!("{number}.nk")), KeyKind::Signer);
    numbers.iter().map(load).collect()
}

/// Numbers of the keys, newest first.
fn numbers(folder: &Path) -> Result<Vec<u32>, KeyDirError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    key_file::check_directory(folder)?;
    let failed = |source| KeyFileError::Io { action: "listing", path: folder.to_owned(), source };
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number: Option<u32> =
            name.to_str().and_then(|name| name.strip_suffix(".nk")?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_two_are_believed_and_the_newest_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let keys = KeyDir::open_or_create(&directory.path().join("keys")).unwrap();
        assert!(keys.command_keys().unwrap().is_empty());
        keys.ensure_command_key().unwrap();
        let first = keys.command_keys().unwrap()[0].public().clone();
        keys.ensure_command_key().unwrap();
        keys.rotate_command_key().unwrap();
        let believed = keys.command_keys().unwrap();
        assert_eq!(believed.len(), 2);
        assert_eq!(believed[1].public(), &first);
        keys.rotate_command_key().unwrap();
        let believed = keys.command_keys().unwrap();
        assert_eq!(believed.len(), 2);
        assert!(believed.iter().all(|key| key.public() != &first));
    }
}
