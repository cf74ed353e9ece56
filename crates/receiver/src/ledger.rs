//! The books of metric points: from Redis, where they are noted beside the rings, into Postgres.
//!
//! Every replica moves; what two move at one time is counted once. While one of the two servers is
//! away the notes stay where they are, within their bound, and points go on.

use std::time::Duration;

use runtime::shutdown::CancellationToken;
use storage::{DeviceSession, NumberRun, Records, Rings, Unavailable};
use tokio::time::{Instant, MissedTickBehavior};

const KIND: &str = "metric";
/// How often notes are moved.
const MOVE_EVERY: Duration = Duration::from_secs(5);
/// How often sessions are looked for that are too old to keep.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// How long a session is kept after its last message; as long as a dead letter.
const KEEP_SESSIONS: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Runs until `stop`.
pub(crate) async fn run(rings: Rings, records: Records, stop: CancellationToken) {
    let mut moves = tokio::time::interval(MOVE_EVERY);
    moves.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut forget_at = Instant::now() + FORGET_EVERY;
    while stop.run_until_cancelled(moves.tick()).await.is_some() {
        if let Err(error) = move_notes(&rings, &records).await {
            tracing::warn!(%error, "the books of metrics wait in redis");
        }
        if Instant::now() < forget_at {
            continue;
        }
        forget_at = Instant::now() + FORGET_EVERY;
        match records.forget_old_sessions(KEEP_SESSIONS).await {
            Ok(rows) => tracing::info!(rows, "old sessions left the books"),
            Err(error) => tracing::warn!(%error, "old sessions stay in the books"),
        }
    }
}

async fn move_notes(rings: &Rings, records: &Records) -> Result<(), Unavailable> {
    let mut cursor = 0;
    loop {
        let (next, notes) = rings.notes(cursor).await?;
        let runs: Vec<NumberRun> = notes.iter().flat_map(storage::Note::runs).collect();
        let incomplete: Vec<DeviceSession> =
            notes.iter().filter_map(storage::Note::incomplete).collect();
        records.note_stored(KIND, &runs).await?;
        records.note_incomplete(KIND, &incomplete).await?;
        rings.forget_notes(&notes).await?;
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}
