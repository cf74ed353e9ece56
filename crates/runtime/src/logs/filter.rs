//! What is logged, changed while the program runs.
//!
//! Promises: a filter that cannot be used changes nothing. What the file says stands above the
//! setting.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::{EnvFilter, Registry, reload};

use super::settings::parse;

/// Changes what is logged; cheap to clone.
#[derive(Clone, Debug)]
pub struct LogFilter {
    handle: reload::Handle<EnvFilter, Registry>,
    wanted: Arc<Mutex<Wanted>>,
}

#[derive(Clone, Debug)]
struct Wanted {
    setting: String,
    file: Option<String>,
}

impl Wanted {
    fn filter(&self) -> &str {
        self.file.as_deref().unwrap_or(&self.setting)
    }
}

impl LogFilter {
    pub(super) fn new(handle: reload::Handle<EnvFilter, Registry>, setting: &str) -> Self {
        let wanted = Wanted { setting: setting.to_owned(), file: None };
        Self { handle, wanted: Arc::new(Mutex::new(wanted)) }
    }

    /// The setting changed: it holds from now on, where no file stands above it.
    ///
    /// # Errors
    /// It is no filter; the one before goes on.
    pub fn set(&self, setting: &str) -> Result<(), String> {
        self.change(|wanted| setting.clone_into(&mut wanted.setting))
    }

    /// Takes over what the file says now.
    ///
    /// # Errors
    /// It cannot be read or is no filter; the one before goes on.
    pub(super) fn follow(&self, file: &Path) -> Result<(), String> {
        let said = match std::fs::read_to_string(file) {
            Ok(said) => Some(said.trim().to_owned()).filter(|said| !said.is_empty()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.to_string()),
        };
        self.change(|wanted| wanted.file = said)
    }

    fn change(&self, change: impl FnOnce(&mut Wanted)) -> Result<(), String> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = wanted.clone();
        change(&mut new);
        if new.filter() != wanted.filter() {
            let parsed = parse(new.filter())?;
            tracing::info!(
                filter = new.filter(),
                before = wanted.filter(),
                "the log's filter changes"
            );
            self.handle.reload(parsed).map_err(|error| error.to_string())?;
        }
        *wanted = new;
        Ok(())
    }
}
