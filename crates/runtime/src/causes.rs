//! Errors as one line.
//!
//! Promises: what an error's text leaves out, since it is its cause's to say, is said too.

/// An error with its causes, a colon between.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
