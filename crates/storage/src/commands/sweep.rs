//! Commands whose time is over: expired where they reached nobody, timed out where nobody answered.
//!
//! Promises: each is ended once, by whichever process comes first; what a device says later
//! replaces it. Waits a little past a command's time, so that an answer under way comes first.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use tokio_postgres::types::ToSql;

use super::{MOVED_BY_US, RECORD};
use crate::outcome::Unavailable;
use crate::records::Records;
use crate::sql_error::unavailable;
use crate::traces;

/// Most commands that one statement ends.
const BATCH_COMMANDS: i64 = 1_000;
/// Who ended them.
const WHO: &str = "wegweiser";
/// What a message that was published may still take to be refused by its device.
const ANSWER_GRACE_SECONDS: f64 = 15.0;

/// One that an agent of the first generation was sent is waited for as one that runs.
static EXPIRE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with due as (
    select command_uuid from commands
    where state = 'queued' and not (first_generation and published_at is not null)
      and expires_at < clock_timestamp()
                       - case when published_at is null then interval '0'
                              else make_interval(secs => $3) end
    order by command_uuid
    limit $2
    for update skip locked
), moved as (
    update commands c set state = 'expired', changed_at = clock_timestamp(), moved_by = $1,
           assumed = c.published_at is not null, reason_code = 'expired',
           reason_text = 'its device did not take it before its time was over'
    from due where c.command_uuid = due.command_uuid
    returning {MOVED_BY_US}
), {RECORD}"
    )
});

static GIVE_UP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with due as (
    select command_uuid from commands
    where (state in ('delivered', 'running')
           or (state = 'queued' and first_generation and published_at is not null))
      and greatest(changed_at, published_at) + timeout_ms * interval '1 millisecond'
          < clock_timestamp() - make_interval(secs => $3)
    order by command_uuid
    limit $2
    for update skip locked
), moved as (
    update commands c set state = 'timed_out', changed_at = clock_timestamp(), moved_by = $1, assumed = true,
           reason_code = 'timed_out', reason_text = 'its device did not answer in time'
    from due where c.command_uuid = due.command_uuid
    returning {MOVED_BY_US}
), {RECORD}"
    )
});

impl Records {
    /// Ends commands that no device took in their time; returns how many.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn expire_commands(&self) -> Result<usize, Unavailable> {
        self.sweep(&EXPIRE, ANSWER_GRACE_SECONDS).await
    }

    /// Ends commands whose device has them and did not tell of their end within their timeout and
    /// `grace`; returns how many.
    ///
    /// # Errors
    /// Postgres is away, ill or not migrated.
    pub async fn give_up_commands(&self, grace: Duration) -> Result<usize, Unavailable> {
        self.sweep(&GIVE_UP, grace.as_secs_f64()).await
    }

    async fn sweep(&self, sql: &str, grace_seconds: f64) -> Result<usize, Unavailable> {
        let mut all = 0;
        loop {
            let connection = self.connection().await?;
            let values: [&(dyn ToSql + Sync); 3] = [&WHO, &BATCH_COMMANDS, &grace_seconds];
            let began = SystemTime::now();
            let ended = self.bounded(connection.query(sql, &values)).await?;
            let ended = ended.map_err(|error| unavailable(&error))?;
            traces::moved(&ended, began);
            let ended = ended.len();
            all += ended;
            if i64::try_from(ended).unwrap_or(i64::MAX) < BATCH_COMMANDS {
                return Ok(all);
            }
        }
    }
}
