//! Pacing of what is tried again: exponential, jittered, bounded delay, no bound in time.
//!
//! The only module that names `backoff`, so that replacing that crate is a change of one file.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Each delay is drawn from half to one and a half times its nominal length.
const JITTER: f64 = 0.5;

/// Delays between attempts: each about twice the last, up to a longest.
#[derive(Debug)]
pub struct Backoff {
    inner: ExponentialBackoff,
    longest: Duration,
}

impl Backoff {
    /// Delays from about `first` up to about `longest`; it never gives up.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        let mut inner = ExponentialBackoff {
            initial_interval: first,
            max_interval: longest,
            multiplier: 2.0,
            randomization_factor: JITTER,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        inner.reset();
        Self { inner, longest }
    }

    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        self.inner.next_backoff().unwrap_or(self.longest)
    }

    /// Starts again from the first delay, after a success.
    pub fn reset(&mut self) {
        self.inner.reset();
    }
}

/// The delay before reconnection number `attempt` (from 1): full jitter over a growing span, so
/// that a fleet whose broker restarted does not come back in one stampede.
#[must_use]
pub fn reconnect_delay(attempt: usize, first: Duration, longest: Duration) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let span = first.saturating_mul(1 << doublings).min(longest);
    jittered(span)
}

/// A random part of `span`, so that what was started together does not end together.
#[must_use]
pub fn jittered(span: Duration) -> Duration {
    span.mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_longest_and_never_end() {
        let longest = Duration::from_secs(4);
        let mut backoff = Backoff::new(Duration::from_millis(100), longest);
        assert!(backoff.next_delay() <= Duration::from_millis(150));
        for _ in 0..1_000 {
            assert!(backoff.next_delay() <= longest.mul_f64(1.0 + JITTER));
        }
        assert!(backoff.next_delay() >= longest.mul_f64(1.0 - JITTER));
    }

    #[test]
    fn reconnections_stay_within_the_longest_delay() {
        let longest = Duration::from_secs(30);
        for attempt in [0, 1, 2, 50, usize::MAX] {
            assert!(reconnect_delay(attempt, Duration::from_millis(250), longest) <= longest);
        }
    }
}
