//! What can go wrong with accounts, in words that say what to do.

use std::fmt;
use std::path::PathBuf;

use identity::{IssueError, KeyDirError, TokenError};
use serde::Serialize;

use crate::plan::Plan;

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The file or directory.
    pub file: PathBuf,
    /// The field, as `roles.device.template.subs`; empty when the whole file is meant.
    pub field: String,
    /// What is wrong with which value, and what to write instead.
    pub problem: String,
}

/// Every mistake in the account files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mistake(s) in the account files; nothing was changed", self.0.len())?;
        for mistake in &self.0 {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

/// Why accounts could not be planned, applied or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// A key is missing or unusable.
    #[error("the key directory cannot be used")]
    Keys(#[from] KeyDirError),
    /// Another process changes accounts with the same key directory.
    #[error(
        "another process has held {path} for {waited_seconds} s; \
         wait for it, or end it if it hangs, and try again"
    )]
    Busy {
        /// The lock file.
        path: String,
        /// How long was waited.
        waited_seconds: u64,
    },
    /// The credentials for this work could not be issued.
    #[error("credentials for the system account could not be issued")]
    Issue(#[from] IssueError),
    /// An account's JWT could not be made.
    #[error("signing account {account} failed")]
    Sign {
        /// Whose.
        account: String,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The server holds claims that this version does not understand in full.
    #[error(
        "account {account} at the server cannot be read; it was pushed by another or a newer \
         tool, and would lose what is unknown here: update wegweiser or push it from there"
    )]
    Unreadable {
        /// Whose.
        account: String,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The URL is none.
    #[error("NATS_URL {0:?} is no broker address; give one such as tls://host:4222")]
    Url(String),
    /// The server did not let us in.
    #[error(
        "broker {url} did not accept the connection to account SYS ({reason}); \
         check the address, and that its operator is the one of this key directory"
    )]
    Connect {
        /// Where.
        url: String,
        /// Why, as the client library tells it.
        reason: String,
    },
    /// No answer to a request.
    #[error(
        "the server did not answer {what} ({reason}); \
         check that it runs with `resolver: {{ type: full }}` and holds the files of its directory"
    )]
    NoAnswer {
        /// What was asked.
        what: String,
        /// Why, as the client library tells it.
        reason: String,
    },
    /// The server refused a push or deletion.
    #[error("the server refused {what}: {reason}")]
    Refused {
        /// What was asked.
        what: String,
        /// Why, as the server tells it.
        reason: String,
    },
    /// The plan would cut somebody off.
    #[error(
        "{} of {} change(s) would cut somebody off; nothing was changed. \
         If that is meant, allow destructive changes",
        .0.destructive().len(),
        .0.changes.len()
    )]
    Destructive(Box<Plan>),
    /// An account that the server does not hold.
    #[error("account {0} is not at the server; run: wegweiser accounts apply")]
    Absent(String),
}
