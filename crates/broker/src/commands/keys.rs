//! The keys whose commands a device believes, in a file beside its credentials.
//!
//! Promises: the file is the old or the new one at every instant; a line that is no key of a command
//! signer is a mistake, not a key. Refuses: to believe nobody because a file went missing: that is
//! an error.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use identity::{KeyError, KeyKind, PublicKey};

/// Largest file that is read, in bytes: a few keys.
const FILE_MAX_BYTES: u64 = 4_096;
/// Most keys that are believed at one time.
const KEYS_MAX: usize = 4;

/// The believed keys; cheap to clone.
#[derive(Clone, Debug)]
pub struct BelievedKeys {
    keys: Arc<RwLock<Vec<PublicKey>>>,
    /// `None`: in memory only.
    path: Option<PathBuf>,
}

/// The keys cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum BelievedKeysError {
    /// The system refused.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line is no key.
    #[error("a key that signs commands cannot be used")]
    Key(#[from] KeyError),
    /// Too many, or none.
    #[error("{0} keys that sign commands; give 1 to {KEYS_MAX}")]
    Count(usize),
}

impl BelievedKeys {
    /// Name of the file, beside a device's credentials.
    pub const FILE_NAME: &str = "command-keys";

    /// Writes the file for a device that gets its credentials, over one that is there.
    ///
    /// # Errors
    /// One is no key of a command signer, or it cannot be written.
    pub fn write(path: &Path, keys: &[String]) -> Result<(), BelievedKeysError> {
        if parse(keys.iter().map(String::as_str))?.is_empty() {
            return Err(BelievedKeysError::Count(0));
        }
        write_whole(path, keys).map_err(|source| BelievedKeysError::Io {
            action: "writing the keys that sign commands into",
            path: path.to_owned(),
            source,
        })
    }

    /// These keys, for as long as the process lives.
    #[must_use]
    pub fn in_memory(keys: Vec<PublicKey>) -> Self {
        Self { keys: Arc::new(RwLock::new(keys)), path: None }
    }

    /// The keys in a file, one a line; `None`: there is no such file, or nothing in it.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    pub fn load(path: &Path) -> Result<Option<Self>, BelievedKeysError> {
        let failed = |source| BelievedKeysError::Io {
            action: "reading the keys that sign commands in",
            path: path.to_owned(),
            source,
        };
        let text = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(file) if file.len() > FILE_MAX_BYTES => {
                let problem = format!("it has {} bytes of {FILE_MAX_BYTES}", file.len());
                return Err(failed(io::Error::other(problem)));
            }
            Ok(_) => fs::read_to_string(path).map_err(failed)?,
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = parse(lines)?;
        if keys.is_empty() {
            return Ok(None);
        }
        let keys = Arc::new(RwLock::new(keys));
        Ok(Some(Self { keys, path: Some(path.to_owned()) }))
    }

    /// Those that are believed now.
    #[must_use]
    pub fn now(&self) -> Vec<PublicKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Believes these and no others from now on, after a restart too.
    ///
    /// # Errors
    /// One is no key of a command signer, or they cannot be kept.
    pub fn replace(&self, keys: &[String]) -> Result<(), BelievedKeysError> {
        let parsed = parse(keys.iter().map(String::as_str))?;
        if parsed.is_empty() {
            return Err(BelievedKeysError::Count(0));
        }
        if let Some(path) = &self.path {
            Self::write(path, keys)?;
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = parsed;
        Ok(())
    }
}

fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<PublicKey>, BelievedKeysError> {
    let mut keys = Vec::new();
    for line in lines {
        keys.push(line.parse::<PublicKey>()?.expect_kind(KeyKind::Signer)?);
    }
    if keys.len() > KEYS_MAX {
        return Err(BelievedKeysError::Count(keys.len()));
    }
    Ok(keys)
}

fn write_whole(path: &Path, keys: &[String]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(format!("{}\n", keys.join("\n")).as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use identity::SecretKey;

    use super::*;

    #[test]
    fn keys_are_replaced_in_the_file_too_and_nothing_else_is_taken_for_one() {
        let key = |kind| SecretKey::generate(kind).unwrap().public().to_string();
        let (old, new) = (key(KeyKind::Signer), key(KeyKind::Signer));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("command-keys");
        assert!(BelievedKeys::load(&path).unwrap().is_none());
        fs::write(&path, "\n").unwrap();
        assert!(BelievedKeys::load(&path).unwrap().is_none());
        fs::write(&path, format!("{old}\n")).unwrap();
        let keys = BelievedKeys::load(&path).unwrap().unwrap();

        for wrong in [vec![], vec![key(KeyKind::User)], vec!["V".to_owned()], vec![old.clone(); 5]]
        {
            assert!(keys.replace(&wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(keys.now(), [old.parse().unwrap()]);
        keys.replace(&[new.clone(), old.clone()]).unwrap();
        assert_eq!(keys.now(), BelievedKeys::load(&path).unwrap().unwrap().now());
        assert_eq!(keys.now()[0].as_str(), new);

        fs::write(&path, "not a key\n").unwrap();
        assert!(BelievedKeys::load(&path).is_err());
    }
}
