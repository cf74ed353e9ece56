//! How fast the spool is emptied after an outage.
//!
//! Promises: never more than its rate over any span of seconds, however irregularly it is asked.

use std::time::{Duration, Instant};

/// How many messages from the disk may be sent now.
pub(super) struct Allowance {
    per_s: f64,
    messages: f64,
    counted_at: Instant,
}

impl Allowance {
    pub(super) fn new(per_s: u32, now: Instant) -> Self {
        Self { per_s: f64::from(per_s.max(1)), messages: 1.0, counted_at: now }
    }

    /// One message, if the rate allows it now. What was not used for longer than a second is lost.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.messages = self.per_s.min(self.messages + since * self.per_s);
        self.counted_at = now;
        let allowed = self.messages >= 1.0;
        if allowed {
            self.messages -= 1.0;
        }
        allowed
    }

    /// How long until the next is allowed.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs_f64((1.0 - self.messages).max(0.0) / self.per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_rate_and_saves_no_more_than_a_second_of_it() {
        let start = Instant::now();
        let mut allowance = Allowance::new(100, start);
        // Long idle, then asked as often as it allows for ten seconds.
        let mut now = start + Duration::from_secs(3_600);
        let end = now + Duration::from_secs(10);
        let mut sent = 0;
        while now < end {
            if allowance.take(now) {
                sent += 1;
            } else {
                now += allowance.wait().max(Duration::from_micros(1));
            }
        }
        assert!((1_050..=1_100).contains(&sent), "100 at once and 1,000 after: {sent}");
    }
}
