//! The books: which numbers of which run of an agent are stored, and what the agent says it sent.
//!
//! Numbers are kept as ranges, so that one that comes again is not counted twice. They are noted
//! after the write that they tell of and before the message is acknowledged: what is noted is
//! stored, and a kill between the two is made good by the redelivery. Promises: a session's numbers
//! take a bounded room, and it is told where that was not enough. Refuses: to count messages that
//! nobody numbered.

mod notes;
mod numbers;
mod read;
mod told;
mod write;

pub use notes::Note;
pub use numbers::{DeviceSession, NumberRun, runs};
pub use read::{LedgerPlace, LedgerRow, StoredNumbers};
pub use told::Told;
