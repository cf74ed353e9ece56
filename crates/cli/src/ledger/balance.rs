//! The arithmetic of the books: `sent = stored + parked + spooled + dropped + under way + missing`.
//!
//! Only what a device said that it had sent can be missing: at its heartbeat every number was
//! confirmed by the stream, spooled or given up. Once the stream's messages up to that heartbeat are
//! settled, what is then none of these is missing. Until then, and beyond what the heartbeat knew, a
//! gap is on its way.

use std::ops::AddAssign;

use serde::Serialize;

/// Numbers as ranges, both ends included, in ascending order and without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub(super) fn of(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last)
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    fn with(&self, other: &Self) -> Self {
        Self::of([self.0.as_slice(), &other.0].concat())
    }

    fn highest(&self) -> u64 {
        self.0.last().map_or(0, |(_, last)| *last)
    }

    /// How many there are up to `limit`.
    fn count_up_to(&self, limit: u64) -> u64 {
        let within = self.0.iter().filter(|(first, _)| *first <= limit);
        within.map(|(first, last)| last.min(&limit) - first + 1).sum()
    }

    fn count(&self) -> u64 {
        self.count_up_to(u64::MAX)
    }

    /// What is between 1 and `limit` and not in it.
    fn gaps_up_to(&self, limit: u64) -> Vec<(u64, u64)> {
        let (mut gaps, mut next) = (Vec::new(), 1);
        for (first, last) in &self.0 {
            if next < *first && next <= limit {
                gaps.push((next, limit.min(first - 1)));
            }
            next = last.saturating_add(1);
        }
        if next <= limit {
            gaps.push((next, limit));
        }
        gaps
    }
}

/// What is known of one kind of message of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) stored: Ranges,
    /// In the dead letters, or discarded from there by an operator.
    pub(super) parked: Ranges,
    /// What the device last said.
    pub(super) sent: u64,
    pub(super) spooled: u64,
    pub(super) dropped: u64,
    /// Whether everything that the stream took before the device said so is settled.
    pub(super) settled: bool,
    /// Numbers that are stored may be left out: there were too many gaps.
    pub(super) incomplete: bool,
}

/// How an account balances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Balance {
    pub(super) sent: u64,
    pub(super) stored: u64,
    pub(super) parked: u64,
    pub(super) spooled: u64,
    pub(super) dropped: u64,
    pub(super) under_way: u64,
    pub(super) missing: u64,
}

impl AddAssign for Balance {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.stored += other.stored;
        self.parked += other.parked;
        self.spooled += other.spooled;
        self.dropped += other.dropped;
        self.under_way += other.under_way;
        self.missing += other.missing;
    }
}

impl Account {
    pub(super) fn balance(&self) -> Balance {
        let known = self.stored.with(&self.parked);
        let sent = self.sent.max(known.highest());
        let stored = self.stored.count();
        // A letter that was sent again may still lie there.
        let parked = known.count() - stored;
        let open = self.sent - known.count_up_to(self.sent);
        let unexplained = open.saturating_sub(self.dropped).saturating_sub(self.spooled);
        let missing = if self.settled && !self.incomplete { unexplained } else { 0 };
        let mut rest = sent - known.count() - missing;
        let mut take = |most: u64| {
            let taken = rest.min(most);
            rest -= taken;
            taken
        };
        let (dropped, spooled) = (take(self.dropped), take(self.spooled));
        Balance { sent, stored, parked, spooled, dropped, under_way: rest, missing }
    }

    /// The numbers among which what is missing is; what is spooled or dropped is among them, too.
    pub(super) fn gaps(&self) -> Vec<(u64, u64)> {
        self.stored.with(&self.parked).gaps_up_to(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(stored: &[(u64, u64)], sent: u64) -> Account {
        Account { stored: Ranges::of(stored.to_vec()), sent, settled: true, ..Account::default() }
    }

    #[test]
    fn a_gap_is_missing_with_its_number() {
        let account = account(&[(1, 16), (20, 40), (36, 50)], 50);
        let balance = account.balance();
        assert_eq!((balance.sent, balance.stored, balance.missing), (50, 47, 3));
        assert_eq!(account.gaps(), [(17, 19)]);
    }

    #[test]
    fn a_gap_that_is_explained_is_not_missing() {
        let parked = Account {
            parked: Ranges::of(vec![(17, 19), (1, 1)]),
            ..account(&[(1, 16), (20, 50)], 50)
        };
        let balance = parked.balance();
        assert_eq!((balance.parked, balance.missing), (3, 0), "a replayed letter is stored");
        let told = Account { spooled: 4, dropped: 2, ..account(&[(1, 40)], 50) };
        let balance = told.balance();
        assert_eq!((balance.spooled, balance.dropped, balance.missing), (4, 2, 4));
        assert_eq!(told.gaps(), [(41, 50)]);
    }

    #[test]
    fn what_the_device_has_not_spoken_of_is_on_its_way() {
        let beyond = account(&[(1, 50), (53, 60)], 50).balance();
        assert_eq!((beyond.sent, beyond.under_way, beyond.missing), (60, 2, 0));
        let behind = Account { settled: false, ..account(&[(1, 40)], 50) }.balance();
        assert_eq!((behind.under_way, behind.missing), (10, 0));
        // What was spooled at the last word has arrived since.
        let since = Account { spooled: 10, ..account(&[(1, 55)], 50) }.balance();
        assert_eq!((since.sent, since.spooled, since.under_way, since.missing), (55, 0, 0, 0));
    }

    #[test]
    fn whatever_is_known_the_columns_add_up() {
        for stored in [vec![], vec![(1, 9)], vec![(2, 3), (7, 20)]] {
            for (sent, spooled, dropped) in [(0, 0, 0), (10, 3, 90), (15, 90, 2), (30, 2, 2)] {
                let balance = Account { spooled, dropped, ..account(&stored, sent) }.balance();
                let Balance { stored, parked, spooled, dropped, under_way, missing, .. } = balance;
                let sum = stored + parked + spooled + dropped + under_way + missing;
                assert_eq!(balance.sent, sum, "{balance:?}");
            }
        }
    }
}
