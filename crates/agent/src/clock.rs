//! This device's clock against the broker's.
//!
//! Promises: the difference is known also when the clock is set while the broker is away. Refuses:
//! to correct anything; the backend shows it, and presence goes by the broker's clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker::{Broker, Trouble};
use protocol::UnixMillis;
use sysinfo::System;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

/// How often the broker is asked for its time.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// How often to look whether somebody has set the clock.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Less is no jump: the time since boot is told in whole seconds.
const JUMP_MS: i64 = 2_000;
/// From here on, points and heartbeats are shown at a wrong time.
const HARMFUL_MS: i64 = 30_000;

/// What is known of the clock; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    offset_ms: Arc<Mutex<Option<i64>>>,
    was_set: Arc<Notify>,
}

impl Clock {
    /// How far it is ahead of the broker's, where that is known.
    pub(crate) fn offset_ms(&self) -> Option<i64> {
        *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with it.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let offset_ms = self.offset_ms()?;
        if offset_ms.abs() < HARMFUL_MS {
            return None;
        }
        let (seconds, side) =
            (offset_ms.abs() / 1_000, if offset_ms > 0 { "ahead of" } else { "behind" });
        let what = format!("this device's clock is {seconds} s {side} the broker's");
        Some(Trouble::new(what, "set it, and keep it right: timedatectl set-ntp true"))
    }

    /// Notices for ever when somebody sets the clock.
    pub(crate) async fn notice_jumps(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut before = booted_at_ms();
        loop {
            ticks.tick().await;
            let now = booted_at_ms();
            if let (Some(now), Some(before)) = (now, before) {
                self.jumped(now - before);
            }
            before = now;
        }
    }

    fn jumped(&self, by_ms: i64) {
        if by_ms.abs() < JUMP_MS {
            return;
        }
        tracing::warn!(by_ms, "the clock was set");
        let mut offset_ms = self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner);
        *offset_ms = offset_ms.map(|offset| offset + by_ms);
        self.was_set.notify_one();
    }

    /// Compares it with the broker's for ever: at once, now and then, and after it was set.
    pub(crate) async fn compare(&self, broker: &Broker) {
        let mut connections = broker.connections();
        loop {
            match broker.clock_offset_ms().await {
                Ok(offset) => {
                    *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
                }
                Err(error) => tracing::debug!(%error, "the broker does not tell the time"),
            }
            tokio::select! {
                () = tokio::time::sleep(COMPARE_EVERY) => {}
                () = self.was_set.notified() => {}
                Ok(()) = connections.changed() => {}
            }
        }
    }
}

/// When the machine was started, by the clock as it is set now: it changes only with that. A sleep
/// of the machine changes nothing, for the time since boot goes on in it.
/// `None` where the system does not tell.
fn booted_at_ms() -> Option<i64> {
    let since_boot_ms = i64::try_from(System::uptime().ok()?).ok()? * 1_000;
    Some(UnixMillis::now().get() - since_boot_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_without_a_broker_and_small_steps_are_not() {
        let clock = Clock::default();
        clock.jumped(-3_600_000);
        assert_eq!(clock.offset_ms(), None, "against what is not known");
        *clock.offset_ms.lock().unwrap() = Some(20);
        clock.jumped(1_999);
        assert!(clock.trouble().is_none());
        clock.jumped(-3_600_000);
        let trouble = clock.trouble().unwrap();
        assert_eq!(trouble.what, "this device's clock is 3599 s behind the broker's");
        clock.jumped(3_600_000);
        assert_eq!((clock.offset_ms(), clock.trouble()), (Some(20), None));
    }
}
