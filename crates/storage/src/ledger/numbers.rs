//! Numbers of messages, as runs without gaps.

use protocol::{DeviceId, SessionId, TenantId};

/// One run of one device's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceSession {
    /// Whose device.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// Which run of its agent.
    pub session: SessionId,
}

/// Numbers of a session that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberRun {
    /// Whose numbers.
    pub of: DeviceSession,
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
}

/// Numbers in any order, some of them more than once, as runs; by session, so that all writers go
/// through the rows in one order.
#[must_use]
pub fn runs(mut numbers: Vec<(DeviceSession, u64)>) -> Vec<NumberRun> {
    numbers.sort_unstable();
    let mut runs: Vec<NumberRun> = Vec::new();
    for (of, number) in numbers {
        match runs.last_mut() {
            Some(run) if run.of == of && number <= run.last.saturating_add(1) => run.last = number,
            _ => runs.push(NumberRun { of, first: number, last: number }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn numbers_in_any_order_are_few_runs() {
        let session = |n| DeviceSession {
            tenant: TenantId::new(Uuid::from_u128(1)),
            device: DeviceId::new(Uuid::from_u128(2)),
            session: Uuid::from_u128(n).to_string().parse().unwrap(),
        };
        let (a, b) = (session(3), session(4));
        let numbers = vec![(b, 2), (a, 5), (a, 4), (b, 1), (a, 1), (a, 4), (a, 2)];
        let found: Vec<_> = runs(numbers).iter().map(|run| (run.of, run.first, run.last)).collect();
        assert_eq!(found, [(a, 1, 2), (a, 4, 5), (b, 1, 2)]);
    }
}
