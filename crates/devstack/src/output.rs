//! The only place that prints: results to standard output, notes for a person to standard error.

use std::io::Write as _;

/// Writes one line to standard output. A closed pipe (`devstack status | head -1`) is no error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes one line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
