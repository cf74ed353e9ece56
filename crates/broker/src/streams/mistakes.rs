//! What is wrong in the files, all of it at once.
//!
//! Promises: each mistake names file, field, value and remedy. Refuses to stop at the first.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

/// Longest value repeated in an error text, in characters.
const SHOWN_VALUE_MAX_CHARS: usize = 120;

/// One mistake in one file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// The file or directory.
    pub file: PathBuf,
    /// The field in the server's words; empty when the whole file is meant.
    pub field: String,
    /// What stands there; absent when nothing does.
    pub value: Option<Value>,
    /// What is wrong, and what to write instead.
    pub remedy: String,
}

/// Every mistake in the directory.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        match (&self.value, self.field.is_empty()) {
            (_, true) => {}
            (None, false) => write!(f, "{} is missing; ", self.field)?,
            (Some(value), false) => {
                let text: String = value.to_string().chars().take(SHOWN_VALUE_MAX_CHARS).collect();
                write!(f, "{} is {text}; ", self.field)?;
            }
        }
        f.write_str(&self.remedy)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mistake(s) in the stream files; nothing was changed", self.0.len())?;
        for mistake in &self.0 {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

/// Collects the mistakes of one file.
pub(super) struct Notebook<'a> {
    file: &'a Path,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Notebook<'a> {
    pub(super) const fn new(file: &'a Path, mistakes: &'a mut Vec<Mistake>) -> Self {
        Self { file, mistakes }
    }

    /// The whole file is wrong.
    pub(super) fn file(&mut self, remedy: impl Into<String>) {
        self.note("", None, remedy.into());
    }

    /// A field that must be stated is not.
    pub(super) fn missing(&mut self, field: &str, remedy: impl Into<String>) {
        self.note(field, None, remedy.into());
    }

    /// A field has a value that cannot stand.
    pub(super) fn field(&mut self, field: &str, value: &Value, remedy: impl Into<String>) {
        self.note(field, Some(value.clone()), remedy.into());
    }

    fn note(&mut self, field: &str, value: Option<Value>, remedy: String) {
        let file = self.file.to_path_buf();
        self.mistakes.push(Mistake { file, field: field.to_owned(), value, remedy });
    }
}
