//! What a simulated machine measures: smooth curves with a day in them, and counters that grow.
//!
//! Promises: a value depends on the machine's seed and the time alone, so that a fleet that is
//! started again goes on where the curves are; network counters and uptime fall only when the
//! machine "boots", every few weeks.

use std::f64::consts::TAU;

const DAY_SECONDS: f64 = 86_400.0;
/// How far a network rate swings about its mean over a day; below 1, or counters would fall.
const SWING: f64 = 0.6;

/// Mixes `value` into `state` (splitmix64): the same on every machine and in every version.
pub(super) const fn mixed(state: u64, value: u64) -> u64 {
    let mut z = state ^ value.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A simulated machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    seed: u64,
}

impl Machine {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The value of each of [`protocol::AGENT_METRICS`] at a time in seconds since 1970.
    pub(super) fn values(&self, at: f64) -> [f64; 6] {
        let cpu = self.between(1, 8.0, 35.0)
            + self.between(2, 4.0, 20.0) * self.day(at)
            + 14.0 * self.noise(3, at / 90.0)
            + 4.0 * self.noise(4, at / 7.0);
        let memory =
            self.between(5, 25.0, 70.0) + 6.0 * self.day(at) + 5.0 * self.noise(6, at / 600.0);
        // Fills up over two weeks and is cleared.
        let fortnight = (at / (14.0 * DAY_SECONDS) + self.share(7)).fract();
        let disk = self.between(8, 15.0, 75.0) + 8.0 * fortnight;
        [
            percent(cpu),
            percent(memory),
            percent(disk),
            self.bytes(10, at),
            self.bytes(11, at),
            self.uptime(at).floor(),
        ]
    }

    /// Where it "stands".
    pub(super) fn site(&self) -> &'static str {
        const SITES: [&str; 4] = ["berlin", "cologne", "hamburg", "munich"];
        SITES[usize::from(mixed(self.seed, 50).to_be_bytes()[0]) % SITES.len()]
    }

    /// Seconds since this machine "booted".
    pub(super) fn uptime(&self, at: f64) -> f64 {
        let period = DAY_SECONDS * self.between(20, 12.0, 40.0);
        (at + period * self.share(21)).rem_euclid(period)
    }

    /// The integral of a rate that swings with the day, since boot.
    fn bytes(&self, salt: u64, at: f64) -> f64 {
        let mean_bytes_a_second = 2_000.0 * 100.0_f64.powf(self.share(salt));
        let up = self.uptime(at);
        let (turn, shift) = (TAU / DAY_SECONDS, TAU * self.share(salt + 100));
        let swung = SWING / turn * (shift.cos() - (turn * up + shift).cos());
        (mean_bytes_a_second * (up + swung)).floor()
    }

    /// From -1 to 1 and back in a day, at this machine's own hour.
    fn day(&self, at: f64) -> f64 {
        (TAU * (at / DAY_SECONDS + self.share(30))).sin()
    }

    /// From -1 to 1, smooth, with a new target at each whole `at`.
    fn noise(&self, salt: u64, at: f64) -> f64 {
        let whole = at.floor();
        // Times are far below 2^63.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole time")]
        let step = whole as u64;
        let target = |step: u64| 2.0 * unit(mixed(mixed(self.seed, salt), step)) - 1.0;
        let eased = |x: f64| x * x * (3.0 - 2.0 * x);
        let (from, to) = (target(step), target(step.wrapping_add(1)));
        from + (to - from) * eased(at - whole)
    }

    fn between(&self, salt: u64, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share(salt)
    }

    /// A number of this machine's own from 0 up to 1.
    pub(super) fn share(&self, salt: u64) -> f64 {
        unit(mixed(self.seed, salt))
    }
}

fn unit(bits: u64) -> f64 {
    // 53 bits are what a number between 0 and 1 can hold.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let numerator = (bits >> 11) as f64;
    numerator / 9_007_199_254_740_992.0
}

fn percent(value: f64) -> f64 {
    (value.clamp(0.0, 100.0) * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_790_000_000.0;

    #[test]
    fn percentages_stay_in_range_and_move_smoothly() {
        for seed in 0..50 {
            let machine = Machine::new(mixed(7, seed));
            let mut last = machine.values(NOW);
            for step in 1..2_000 {
                let values = machine.values(NOW + 2.0 * f64::from(step));
                for index in 0..3 {
                    let name = protocol::AGENT_METRICS[index];
                    assert!((0.0..=100.0).contains(&values[index]), "{name} {}", values[index]);
                    let jump = (values[index] - last[index]).abs();
                    assert!(jump < 8.0 || name == "disk_percent", "{name} jumps by {jump}");
                }
                last = values;
            }
        }
    }

    #[test]
    fn counters_fall_only_when_the_machine_boots() {
        for seed in 0..50 {
            let machine = Machine::new(mixed(9, seed));
            let mut last = machine.values(NOW);
            let mut boots = 0;
            for step in 1..20_000 {
                let values = machine.values(NOW + 600.0 * f64::from(step));
                if values[5] < last[5] {
                    boots += 1;
                } else {
                    assert!(values[3] > last[3] && values[4] > last[4], "{last:?} {values:?}");
                }
                last = values;
            }
            assert!((3..=12).contains(&boots), "{boots} boots in 139 days");
        }
    }

    #[test]
    fn machines_differ_and_do_not_change_their_ways() {
        assert_eq!(Machine::new(3).values(NOW), Machine::new(3).values(NOW));
        assert_ne!(Machine::new(3).values(NOW), Machine::new(4).values(NOW));
    }
}
