//! What a replay would do, said without doing it.

use std::collections::HashMap;

use anyhow::Context as _;
use broker::Broker;
use broker::dead_letters::Letter;
use protocol::{UnixMillis, headers};
use storage::Records;

use super::replay::{Plan, plan};
use super::selection::Walk;
use super::tally::Tally;

const WOULD_SEND: &str = "would be sent again and removed";
const WOULD_REMOVE: &str = "had its effect before it was parked: would be removed";
const WOULD_KEEP: &str =
    "would be kept: its id is still within the stream's duplicate window; try later";

/// Counts what would happen; changes nothing.
pub(super) async fn foresee(
    walk: &mut Walk<'_>,
    broker: &Broker,
    records: &Records,
) -> anyhow::Result<Tally> {
    let mut windows_ms: HashMap<String, i64> = HashMap::new();
    let mut tally = Tally::default();
    while let Some(letters) = walk.page().await? {
        for letter in &letters {
            let outcome = match plan(records, letter).await? {
                Plan::Keep(why) => why,
                Plan::Applied => WOULD_REMOVE,
                Plan::Send => {
                    let stream = letter.stream();
                    if !windows_ms.contains_key(stream) {
                        let window = broker.duplicate_window(stream).await;
                        let window = window.with_context(|| format!("looking at {stream}"))?;
                        let window = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
                        windows_ms.insert(stream.to_owned(), window);
                    }
                    let window = windows_ms.get(stream).copied().unwrap_or_default();
                    if is_within(letter, window) { WOULD_KEEP } else { WOULD_SEND }
                }
            };
            tally.add(outcome, letter.stream());
        }
    }
    Ok(tally)
}

/// Whether the original's own id is still remembered by its stream.
fn is_within(letter: &Letter, window_ms: i64) -> bool {
    let has_id = !letter.header(headers::MESSAGE_ID).is_empty();
    let first_seen = letter.first_seen().unwrap_or(UnixMillis::new(0));
    has_id && UnixMillis::now().since(first_seen) < window_ms
}
