//! Doubt: messages that were delivered several times and that nobody settled.
//!
//! One of them may kill its receiver, and with it the attempts of whatever was fetched beside it,
//! until all of them are used up. So they are taken one at a time, after everything else, and in
//! an order that differs at each attempt: whatever stands behind the deadly one this time stands
//! before it the next time.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use broker::Delivery;

/// From this delivery on a message is in doubt; one repetition is what any kill costs.
const IN_DOUBT_FROM_ATTEMPT: u64 = 3;
/// How long the first of them waits, so that what else came back with them is settled by then.
pub(crate) const DOUBT_PAUSE: Duration = Duration::from_secs(1);

/// Deliveries in doubt, held until their turn comes.
#[derive(Debug, Default)]
pub(crate) struct Doubtful {
    deliveries: VecDeque<Delivery>,
    /// Whether the first of them has waited.
    waited: bool,
}

impl Doubtful {
    /// Takes those in doubt out of a fetched batch.
    pub(crate) fn set_apart(&mut self, fetched: Vec<Delivery>) -> Vec<Delivery> {
        if fetched.iter().all(|delivery| delivery.attempt() < IN_DOUBT_FROM_ATTEMPT) {
            return fetched;
        }
        let (mut doubtful, others): (Vec<_>, Vec<_>) =
            fetched.into_iter().partition(|delivery| delivery.attempt() >= IN_DOUBT_FROM_ATTEMPT);
        in_turn(&mut doubtful, |delivery| (delivery.attempt(), delivery.sequence()));
        if let Some(first) = doubtful.first() {
            let (stream, messages, sequence) = (first.stream(), doubtful.len(), first.sequence());
            tracing::warn!(stream, messages, sequence, "not settled before, taken one at a time");
        }
        self.deliveries.extend(doubtful);
        self.waited = false;
        others
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Those that wait for their turn.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter()
    }

    /// Whether the pause before the first of them is still to come; it comes once.
    pub(crate) fn has_to_wait(&mut self) -> bool {
        !std::mem::replace(&mut self.waited, true)
    }

    /// The next one, alone.
    pub(crate) fn take(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }
}

/// Those with fewer attempts first; among equals upwards, downwards or from the middle outwards,
/// by their number of attempts.
fn in_turn<T>(doubtful: &mut [T], place: impl Fn(&T) -> (u64, u64)) {
    doubtful.sort_by_key(&place);
    for equals in doubtful.chunk_by_mut(|one, other| place(one).0 == place(other).0) {
        match equals.first().map_or(0, |first| place(first).0 % 3) {
            0 => {}
            1 => equals.sort_by_key(|one| Reverse(place(one).1)),
            _ => {
                let middle = equals.get(equals.len() / 2).map_or(0, |one| place(one).1);
                equals.sort_by_key(|one| place(one).1.abs_diff(middle));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERMITTED: u64 = 5;

    /// Who is settled when the deadly ones kill at each attempt.
    fn survivors(messages: std::ops::Range<u64>, deadly: &[u64]) -> Vec<u64> {
        let mut left: Vec<u64> = messages.collect();
        let mut settled = Vec::new();
        for attempt in IN_DOUBT_FROM_ATTEMPT..=PERMITTED {
            in_turn(&mut left, |sequence| (attempt, *sequence));
            let killed_at = left.iter().position(|sequence| deadly.contains(sequence));
            settled.extend(left.drain(..killed_at.unwrap_or(left.len())));
        }
        settled
    }

    #[test]
    fn one_deadly_message_takes_nobody_with_it() {
        for deadly in 0..20 {
            assert_eq!(survivors(0..20, &[deadly]).len(), 19, "{deadly}");
        }
    }

    #[test]
    fn two_deadly_messages_take_nobody_with_them() {
        for (first, second) in [(0, 19), (5, 14), (9, 10), (3, 4)] {
            assert_eq!(survivors(0..20, &[first, second]).len(), 18, "{first} {second}");
        }
    }

    #[test]
    fn who_has_more_attempts_comes_last() {
        let mut doubtful = [(4, 1), (3, 9), (3, 2)];
        in_turn(&mut doubtful, |one| *one);
        assert_eq!(doubtful, [(3, 2), (3, 9), (4, 1)]);
    }
}
