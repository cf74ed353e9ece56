//! Dead letters as an operator handles them: look, send again, remove.
//!
//! Promises: only what is asked for leaves the server (filters are subjects); a page is whole or an
//! error; a letter that is sent again is in its stream when [`crate::Broker::send_again`] says so. Refuses:
//! to remove a letter by itself, and to send a tombstone.

mod counts;
mod filter;
mod letter;
mod read;
mod send;

pub use counts::LetterCount;
pub use filter::{FilterError, LetterFilter};
pub use letter::{Letter, NotSendable};
pub use read::{LetterError, LetterPage};
pub use send::{SendError, Sent, SentAgain};

/// The stream that holds them.
pub const STREAM: &str = "DEAD_LETTERS";
