//! Guessing passwords and links: who was wrong too often has to wait.
//!
//! Promises: counted are wrong tries alone, by name whether or not there is such a user, and by
//! where they come from; a bound on memory whatever comes. Kept by each replica for itself, and
//! only while it runs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::guard::rate::network;

/// Wrong tries in a row for one name before it has to wait.
const NAME_TRIES: u32 = 10;
/// The same for one source, which may be the way of many people.
const SOURCE_TRIES: u32 = 50;
/// How long it has to wait then, and after how long all is forgotten.
const LOCKED_FOR: Duration = Duration::from_secs(15 * 60);
/// Names and sources that are remembered.
const REMEMBERED_MAX: usize = 8_192;
/// Longest name that is remembered.
const NAME_MAX_BYTES: usize = 128;

/// The wrong tries.
#[derive(Debug, Default)]
pub(crate) struct Lockout {
    wrong: Mutex<HashMap<Who, Wrong>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Name(String),
    Source(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    tries: u32,
    newest: Instant,
}

impl Who {
    fn name(name: &str) -> Self {
        let mut name = name.to_lowercase();
        let mut end = NAME_MAX_BYTES.min(name.len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        Self::Name(name)
    }

    const fn most(&self) -> u32 {
        match self {
            Self::Name(_) => NAME_TRIES,
            Self::Source(_) => SOURCE_TRIES,
        }
    }
}

impl Lockout {
    /// How long whoever tries this name from there has to wait; `None`: not at all.
    pub(crate) fn wait(&self, name: Option<&str>, source: IpAddr) -> Option<Duration> {
        self.wait_at(Instant::now(), name, source)
    }

    /// Notes a wrong try.
    pub(crate) fn was_wrong(&self, name: Option<&str>, source: IpAddr) {
        self.was_wrong_at(Instant::now(), name, source);
    }

    /// Notes a right one: the name may be mistyped again.
    pub(crate) fn was_right(&self, name: &str) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).remove(&Who::name(name));
    }

    fn wait_at(&self, now: Instant, name: Option<&str>, source: IpAddr) -> Option<Duration> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = None;
        for who in both(name, source) {
            let Some(known) = wrong.get(&who).filter(|known| known.tries >= who.most()) else {
                continue;
            };
            let left = LOCKED_FOR.saturating_sub(now.saturating_duration_since(known.newest));
            wait = wait.max(Some(left).filter(|left| !left.is_zero()));
        }
        wait
    }

    fn was_wrong_at(&self, now: Instant, name: Option<&str>, source: IpAddr) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |known: &Wrong| now.saturating_duration_since(known.newest) < LOCKED_FOR;
        if wrong.len() + 2 > REMEMBERED_MAX {
            wrong.retain(|_, known| is_fresh(known));
        }
        for who in both(name, source) {
            // Full of fresh ones: whoever is in it already goes on being counted.
            if wrong.len() >= REMEMBERED_MAX && !wrong.contains_key(&who) {
                continue;
            }
            let known = wrong.entry(who).or_insert(Wrong { tries: 0, newest: now });
            known.tries = if is_fresh(known) { known.tries.saturating_add(1) } else { 1 };
            known.newest = now;
        }
    }
}

fn both(name: Option<&str>, source: IpAddr) -> impl Iterator<Item = Who> {
    let source = Who::Source(network(source));
    name.map(Who::name).into_iter().chain([source])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn a_name_is_locked_after_ten_wrong_tries_wherever_they_come_from_and_for_a_while() {
        let lockout = Lockout::default();
        let now = Instant::now();
        for number in 0..NAME_TRIES {
            assert_eq!(lockout.wait_at(now, Some("Anna"), source(number)), None);
            lockout.was_wrong_at(now, Some("anna"), source(number));
        }
        assert_eq!(lockout.wait_at(now, Some("ANNA"), source(99)), Some(LOCKED_FOR));
        assert_eq!(lockout.wait_at(now, Some("berta"), source(99)), None);
        assert_eq!(lockout.wait_at(now + LOCKED_FOR, Some("anna"), source(99)), None);
    }

    #[test]
    fn a_right_try_forgives_the_name_and_a_source_is_locked_too() {
        let lockout = Lockout::default();
        let now = Instant::now();
        for number in 0..SOURCE_TRIES {
            lockout.was_wrong_at(now, Some(&format!("name {number}")), source(1));
        }
        assert_eq!(lockout.wait_at(now, Some("anna"), source(1)), Some(LOCKED_FOR));
        assert_eq!(lockout.wait_at(now, Some("anna"), source(2)), None);
        for _ in 1..NAME_TRIES {
            lockout.was_wrong_at(now, Some("anna"), source(2));
        }
        lockout.was_right("anna");
        lockout.was_wrong_at(now, Some("anna"), source(2));
        assert_eq!(lockout.wait_at(now, Some("anna"), source(2)), None);
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let lockout = Lockout::default();
        let now = Instant::now();
        for number in 0..50_000 {
            lockout.was_wrong_at(now, Some(&format!("{number}")), source(number));
        }
        assert!(lockout.wrong.lock().unwrap().len() <= REMEMBERED_MAX);
    }
}
