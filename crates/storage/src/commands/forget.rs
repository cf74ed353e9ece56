//! The end of commands that ended long ago.
//!
//! Promises: one that has not ended stays, however old; what is removed goes with its states and
//! with all that was answered to it, a few at a time, so that no lock is held for long. The audit
//! log keeps who ordered it and what came of it.

use std::time::Duration;

use tokio_postgres::types::ToSql;

use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;

/// Shortest time that commands may be kept after their end, in days: their answers are in the
/// stream for a week, and would be missing beside it.
pub const COMMANDS_KEPT_MIN_DAYS: u64 = 8;
/// Longest, in days.
pub const COMMANDS_KEPT_MAX_DAYS: u64 = 3_650;

/// Commands that one statement removes; each may have thousands of answers.
const BATCH_COMMANDS: i32 = 25;

const FORGET: &str = "select wegweiser_forget_commands(make_interval(secs => $1), $2)";

impl Records {
    /// Removes some of the commands that ended longer ago than this, the oldest first; returns how
    /// many.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn forget_commands(&self, kept: Duration) -> Result<u64, Unavailable> {
        let seconds = kept.as_secs_f64();
        let values: [&(dyn ToSql + Sync); 2] = [&seconds, &BATCH_COMMANDS];
        let connection = self.connection().await?;
        let row = self.bounded(connection.query_one(FORGET, &values)).await?;
        let forgotten: i64 = row.map_err(|error| unavailable(&error))?.get(0);
        Ok(u64::try_from(forgotten).unwrap_or_default())
    }
}
