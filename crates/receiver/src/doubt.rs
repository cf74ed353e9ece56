//! Doubt: messages that were delivered several times and that nobody settled.
//!
//! One of them may kill its receiver, and with it an attempt of whatever the process holds, until
//! all of them are used up. So of everything in doubt in a process, whichever lane holds it, one
//! message is taken at a time, after everything else, and in an order that differs at each attempt:
//! whatever stands behind the deadly one this time stands before it the next time.
//!
//! Refuses: to let a lane wait for another's ill sink. Who has to try again steps back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use broker::Delivery;
use tokio::sync::watch;

/// From this delivery on a message is in doubt; one repetition is what any kill costs.
const IN_DOUBT_FROM_ATTEMPT: u64 = 3;
/// How long the first of them waits, so that what else came back with them is settled by then.
pub(crate) const DOUBT_PAUSE: Duration = Duration::from_secs(1);

/// Where a message stands: those with fewer attempts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    attempt: u64,
    stream: &'static str,
    sequence: u64,
}

/// Everything in doubt in this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubt(Arc<watch::Sender<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeSet<Place>,
    /// Whether one of them is being worked on.
    in_hand: bool,
}

impl Queue {
    /// Whose turn it is. Among equals upwards, downwards or from the middle outwards, by their
    /// number of attempts.
    fn next(&self) -> Option<Place> {
        let attempt = self.waiting.first()?.attempt;
        let mut equals = self.waiting.iter().take_while(|place| place.attempt == attempt);
        match attempt % 3 {
            0 => equals.next(),
            1 => equals.last(),
            _ => {
                let middle = equals.clone().count() / 2;
                equals.nth(middle)
            }
        }
        .copied()
    }
}

/// The permission to work on one message in doubt, until dropped.
#[derive(Debug)]
struct Turn(Doubt);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.send_modify(|queue| queue.in_hand = false);
    }
}

impl Doubt {
    fn enter<'a>(&self, places: impl Iterator<Item = &'a Place>) {
        self.0.send_modify(|queue| queue.waiting.extend(places));
    }

    fn leave<'a>(&self, places: impl Iterator<Item = &'a Place>) {
        self.0.send_modify(|queue| {
            for place in places {
                queue.waiting.remove(place);
            }
        });
    }

    /// Waits until it is the turn of one of `places`.
    async fn turn_of(self, places: BTreeSet<Place>) -> (Place, Turn) {
        let mut news = self.0.subscribe();
        loop {
            let mut ours = None;
            self.0.send_if_modified(|queue| {
                queue.waiting.extend(&places);
                ours = queue.next().filter(|next| !queue.in_hand && places.contains(next));
                if let Some(place) = &ours {
                    queue.waiting.remove(place);
                    queue.in_hand = true;
                }
                // Nobody else's turn has come by this.
                false
            });
            if let Some(place) = ours {
                return (place, Turn(self));
            }
            // The sender is ours, so there is news or nothing.
            let _ = news.changed().await;
        }
    }
}

/// What one worker holds in doubt until its turn comes.
#[derive(Debug)]
pub(crate) struct Doubtful {
    doubt: Doubt,
    stream: &'static str,
    deliveries: BTreeMap<Place, Delivery>,
    /// Whether the first of them has waited.
    waited: bool,
    turn: Option<Turn>,
}

impl Doubtful {
    pub(crate) const fn new(doubt: Doubt, stream: &'static str) -> Self {
        Self { doubt, stream, deliveries: BTreeMap::new(), waited: false, turn: None }
    }

    /// Takes those in doubt out of a fetched batch.
    pub(crate) fn set_apart(&mut self, fetched: Vec<Delivery>) -> Vec<Delivery> {
        if fetched.iter().all(|delivery| delivery.attempt() < IN_DOUBT_FROM_ATTEMPT) {
            return fetched;
        }
        let (doubtful, others): (Vec<_>, Vec<_>) =
            fetched.into_iter().partition(|delivery| delivery.attempt() >= IN_DOUBT_FROM_ATTEMPT);
        if let Some(first) = doubtful.first() {
            let (stream, messages, sequence) = (first.stream(), doubtful.len(), first.sequence());
            tracing::warn!(stream, messages, sequence, "not settled before, taken one at a time");
        }
        for delivery in doubtful {
            let (attempt, sequence) = (delivery.attempt(), delivery.sequence());
            let place = Place { attempt, stream: self.stream, sequence };
            self.deliveries.insert(place, delivery);
        }
        self.doubt.enter(self.deliveries.keys());
        self.waited = false;
        others
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Those that wait for their turn.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values()
    }

    /// Whether the pause before the first of them is still to come; it comes once.
    pub(crate) fn has_to_wait(&mut self) -> bool {
        !self.is_empty() && !std::mem::replace(&mut self.waited, true)
    }

    /// The turn of one of them, once it comes, for [`Doubtful::take`]; `None` where there is none.
    pub(crate) fn turn(&self) -> Option<impl Future<Output = TurnOf> + use<>> {
        if self.is_empty() {
            return None;
        }
        let turn = self.doubt.clone().turn_of(self.deliveries.keys().copied().collect());
        Some(async { TurnOf(turn.await) })
    }

    /// The one whose turn it is, alone.
    pub(crate) fn take(&mut self, TurnOf((place, turn)): TurnOf) -> Option<Delivery> {
        self.turn = Some(turn);
        self.deliveries.remove(&place)
    }

    /// Whether one of them is being worked on.
    pub(crate) const fn is_in_hand(&self) -> bool {
        self.turn.is_some()
    }

    /// The one in hand is settled.
    pub(crate) fn settled(&mut self) {
        self.turn = None;
    }

    /// Its sink or the broker is ill: others need not wait for it.
    pub(crate) fn step_back(&mut self) {
        self.turn = None;
        self.doubt.leave(self.deliveries.keys());
    }
}

impl Drop for Doubtful {
    fn drop(&mut self) {
        self.step_back();
    }
}

/// Whose turn it is.
pub(crate) struct TurnOf((Place, Turn));

#[cfg(test)]
mod tests {
    use super::*;

    const PERMITTED: u64 = 5;

    fn place(attempt: u64, stream: &'static str, sequence: u64) -> Place {
        Place { attempt, stream, sequence }
    }

    /// How many are settled when the deadly ones kill at each attempt.
    fn survivors(messages: &[(&'static str, u64)], deadly: &[(&'static str, u64)]) -> usize {
        let mut left = messages.to_vec();
        let mut settled = 0;
        for attempt in IN_DOUBT_FROM_ATTEMPT..=PERMITTED {
            let waiting = left.iter().map(|(stream, sequence)| place(attempt, stream, *sequence));
            let mut queue = Queue { waiting: waiting.collect(), in_hand: false };
            while let Some(next) = queue.next() {
                let message = (next.stream, next.sequence);
                if deadly.contains(&message) {
                    break;
                }
                queue.waiting.remove(&next);
                left.retain(|other| *other != message);
                settled += 1;
            }
        }
        settled
    }

    fn of_two_streams() -> Vec<(&'static str, u64)> {
        // Sequences as far apart as only some of a stream's messages are.
        let sequences = (0..20).map(|n| n * n);
        sequences.flat_map(|sequence| [("MONITORING", sequence), ("RESPONSES", sequence)]).collect()
    }

    #[test]
    fn one_deadly_message_takes_nobody_with_it() {
        let messages = of_two_streams();
        for deadly in &messages {
            assert_eq!(survivors(&messages, &[*deadly]), messages.len() - 1, "{deadly:?}");
        }
    }

    #[test]
    fn two_deadly_messages_take_nobody_with_them() {
        let messages = of_two_streams();
        for first in &messages {
            for second in messages.iter().filter(|second| *second != first) {
                let settled = survivors(&messages, &[*first, *second]);
                assert_eq!(settled, messages.len() - 2, "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn who_has_more_attempts_comes_last() {
        let waiting = [place(4, "A", 1), place(3, "B", 9), place(3, "B", 2)];
        let queue = Queue { waiting: waiting.into(), in_hand: false };
        assert_eq!(queue.next(), Some(place(3, "B", 2)));
    }

    #[tokio::test]
    async fn one_at_a_time_and_who_steps_back_holds_nobody_up() {
        let doubt = Doubt::default();
        let (first, second) = (place(3, "A", 1), place(3, "B", 1));
        doubt.enter([first].iter());
        let turn = doubt.clone().turn_of([second].into());
        let mut turn = std::pin::pin!(turn);
        assert!(futures::poll!(&mut turn).is_pending(), "the first has not had its turn");
        let (_, of_first) = doubt.clone().turn_of([first].into()).await;
        assert!(futures::poll!(&mut turn).is_pending(), "the first is in hand");
        drop(of_first);
        assert!(futures::poll!(&mut turn).is_ready());

        doubt.enter([first].iter());
        doubt.leave([first].iter());
        assert_eq!(doubt.clone().turn_of([second].into()).await.0, second);
    }
}
