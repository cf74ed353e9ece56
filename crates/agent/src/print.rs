//! What the agent prints: answers on standard output, complaints on standard error.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Prints an answer and a line end. A reader that goes away is no error.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn answer(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Tells what keeps the agent from doing what it was asked for.
pub(crate) fn complain(text: &dyn Display) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}
