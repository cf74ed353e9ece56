//! Lines of one kind are bounded: what an event logs beyond its share of a second is counted, and
//! the count logged.
//!
//! An event is its place in the program, whatever its values. Promises: nothing is left out without
//! being counted; what is kept is a number a place, of which a program has so many and no more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

const WINDOW: Duration = Duration::from_secs(1);
/// As much of a message as a count needs to be known by, in characters.
const MESSAGE_MAX_CHARS: usize = 120;

/// Bounds what one place logs; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct FloodLimit {
    /// 0: no bound.
    per_s: u32,
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
}

#[derive(Debug)]
struct Place {
    since: Instant,
    /// Lines of this second.
    lines: u32,
    /// Lines left out and not told of yet.
    left_out: u64,
    /// What they say.
    message: String,
}

impl FloodLimit {
    pub(super) fn new(per_s: u32) -> Self {
        Self { per_s, places: Arc::default() }
    }

    /// Logs what was left out since it was asked last.
    pub(super) fn tell(&self) {
        let mut told = Vec::new();
        for place in self.lock().values_mut().filter(|place| place.left_out > 0) {
            told.push((std::mem::take(&mut place.left_out), std::mem::take(&mut place.message)));
        }
        for (lines, like) in told {
            tracing::warn!(lines, like, "lines were left out: there were too many of their kind");
        }
    }

    fn takes(&self, event: &Event<'_>, now: Instant) -> bool {
        let mut places = self.lock();
        let new = || Place { since: now, lines: 0, left_out: 0, message: String::new() };
        let place = places.entry(event.metadata().callsite()).or_insert_with(new);
        if now.saturating_duration_since(place.since) >= WINDOW {
            place.since = now;
            place.lines = 0;
        }
        if place.lines < self.per_s {
            place.lines += 1;
            return true;
        }
        place.left_out += 1;
        if place.message.is_empty() {
            event.record(&mut Message(&mut place.message));
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for FloodLimit {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        // What is told of lines left out is told.
        self.per_s == 0
            || event.metadata().module_path() == Some(module_path!())
            || self.takes(event, Instant::now())
    }
}

/// Takes an event's message.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}").chars().take(MESSAGE_MAX_CHARS).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_too_much_of_one_kind_is_counted_and_the_rest_is_logged() {
        let (kept, limit) = (Kept::default(), FloodLimit::new(5));
        let writer = kept.clone();
        let lines =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(limit.clone()).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..1_000 {
                tracing::info!(n, "a flood");
            }
            tracing::info!("something else");
            limit.tell();
            limit.tell();
        });
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
        // A second may have begun anew meanwhile.
        let flood = count(" n=");
        assert!((5..=50).contains(&flood), "{log}");
        assert_eq!((count("something else"), count("left out")), (1, 1), "{log}");
        let rest = format!("lines={}", 1_000 - flood);
        assert!(log.contains(&rest) && log.contains(r#"like="a flood""#), "{rest} in {log}");
    }
}
