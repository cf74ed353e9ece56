//! How a fleet that lost its broker comes back: how many devices in which second.

use std::fmt::Write as _;

/// Lines that a histogram has at most.
const LINES_MAX: usize = 30;
/// Length of the longest bar.
const BAR_MAX: u64 = 50;

/// Reconnections since the first after the fleet was whole, by second.
#[derive(Debug, Default)]
pub(super) struct Comeback {
    seen: u64,
    by_second: Vec<u64>,
}

impl Comeback {
    /// To be told once a second how many reconnections there were since the start, and whether all
    /// devices are connected. Returns the histogram when they are again.
    pub(super) fn look(&mut self, reconnections: u64, whole: bool) -> Option<String> {
        let new = reconnections.saturating_sub(self.seen);
        self.seen = reconnections;
        if new > 0 || !self.by_second.is_empty() {
            self.by_second.push(new);
        }
        if !whole || self.by_second.is_empty() {
            return None;
        }
        let came: u64 = self.by_second.iter().sum();
        let text = histogram(&std::mem::take(&mut self.by_second));
        // One that was cut alone is no comeback.
        (came > 1).then_some(text)
    }
}

fn histogram(by_second: &[u64]) -> String {
    let width = by_second.len().div_ceil(LINES_MAX).max(1);
    let counts: Vec<u64> = by_second.chunks(width).map(|part| part.iter().sum()).collect();
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let all: u64 = counts.iter().sum();
    let busiest = by_second.iter().max().copied().unwrap_or_default();
    let mut text = format!(
        "fleet: {all} reconnections within {} s, {busiest} in the busiest second",
        by_second.len()
    );
    for (at, count) in counts.iter().enumerate() {
        let bar = "#".repeat(usize::try_from(count * BAR_MAX / most).unwrap_or_default());
        // Writing to a string does not fail.
        let _ = write!(text, "\n{:>6} s {count:>6} {bar}", at * width);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comeback_is_told_by_second_once_the_fleet_is_whole_again() {
        let mut comeback = Comeback::default();
        assert_eq!(comeback.look(0, true), None);
        assert_eq!(comeback.look(0, false), None, "they are away");
        for reconnections in [2, 6, 6] {
            assert_eq!(comeback.look(reconnections, false), None);
        }
        let text = comeback.look(7, true).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "fleet: 7 reconnections within 4 s, 4 in the busiest second");
        assert_eq!(lines[2], format!("     1 s      4 {}", "#".repeat(50)));
        assert_eq!((lines[3], lines.len()), ("     2 s      0 ", 5));
        assert_eq!(comeback.look(7, true), None, "once");
    }

    #[test]
    fn a_long_comeback_has_few_lines() {
        let text = histogram(&[1; 1_000]);
        assert!(text.lines().count() <= LINES_MAX + 1, "{text}");
    }
}
