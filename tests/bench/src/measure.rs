//! One measurement, and what many of them come to.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::cost::{Cost, Meter, Reading};

/// What is measured. The letters are those of docs/performance.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Leg {
    Publish,
    PublishWithinBackend,
    MetricsPullFloor,
    MetricsDrain,
    RingsFloor,
    RecordsPullFloor,
    RecordsDrain,
    RowsFloor,
    Delay,
    Replicas,
    MetricsGrowth,
    MetricsCurve,
    RecordsCurve,
    FirstGenerationMetrics,
    PullConsumerMetrics,
    FirstGenerationRecords,
    PullConsumerRecords,
    Seen,
}

impl Leg {
    pub(crate) const ALL: [Self; 18] = [
        Self::Publish,
        Self::PublishWithinBackend,
        Self::MetricsPullFloor,
        Self::MetricsDrain,
        Self::RingsFloor,
        Self::RecordsPullFloor,
        Self::RecordsDrain,
        Self::RowsFloor,
        Self::FirstGenerationMetrics,
        Self::PullConsumerMetrics,
        Self::FirstGenerationRecords,
        Self::PullConsumerRecords,
        Self::Delay,
        Self::Replicas,
        Self::MetricsGrowth,
        Self::MetricsCurve,
        Self::RecordsCurve,
        Self::Seen,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Publish => "a   publish, agent's path",
            Self::PublishWithinBackend => "a'  publish within the backend",
            Self::MetricsPullFloor => "b   floor: pull and ack metrics",
            Self::MetricsDrain => "c   metrics drained into Redis",
            Self::RingsFloor => "d   floor: points into Redis",
            Self::RecordsPullFloor => "b'  floor: pull and ack records",
            Self::RecordsDrain => "e   records drained into Postgres",
            Self::RowsFloor => "f   floor: rows into Postgres",
            Self::FirstGenerationMetrics => "p1  first generation, metrics",
            Self::PullConsumerMetrics => "p2  common pull consumer, metrics",
            Self::FirstGenerationRecords => "p1' first generation, records",
            Self::PullConsumerRecords => "p2' common pull consumer, records",
            Self::Delay => "g   delay until readable",
            Self::Replicas => "h   metrics, replicas",
            Self::MetricsGrowth => "j   metrics,",
            Self::MetricsCurve => "k   metrics,",
            Self::RecordsCurve => "k'  records,",
            Self::Seen => "l   metrics, seen from outside:",
        }
    }
}

/// One leg, measured once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) leg: Leg,
    /// What is different from the leg's other samples, such as `4 replicas`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
    pub(crate) run: usize,
    pub(crate) messages: usize,
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) cost: Cost,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Delay>,
}

/// How long single points took until they could be read, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Delay {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
}

impl Delay {
    /// `None` where nothing was timed.
    pub(crate) fn of(mut delays_ms: Vec<f64>) -> Option<Self> {
        delays_ms.sort_by(f64::total_cmp);
        let at = |thousandths: usize| {
            let last = delays_ms.len().checked_sub(1)?;
            delays_ms.get((delays_ms.len() * thousandths / 1000).min(last)).copied()
        };
        Some(Self { p50_ms: at(500)?, p99_ms: at(990)?, p999_ms: at(999)? })
    }
}

impl Sample {
    pub(crate) fn rate(&self) -> f64 {
        count(self.messages) / self.seconds
    }
}

/// A measurement under way.
pub(crate) struct Watch {
    meter: Meter,
    before: Reading,
    started: Instant,
}

impl Watch {
    pub(crate) fn start(meter: &Meter) -> Result<Self> {
        let before = meter.read()?;
        Ok(Self { meter: meter.clone(), before, started: Instant::now() })
    }

    /// Ends it; `messages` went through.
    pub(crate) fn stop(self, leg: Leg, run: usize, messages: usize) -> Result<Sample> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cost = self.meter.since(&self.before)?;
        Ok(Sample { leg, variant: String::new(), run, messages, seconds, cost, delay: None })
    }
}

/// Several figures of the same thing.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// `None` where there is no figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], upper),
            _ => upper,
        };
        Some(Self { median, lowest: *sorted.first()?, highest: *sorted.last()? })
    }
}

/// The rate of two steps one after the other, where each alone runs at `first` and `second`.
pub(crate) fn in_sequence(first: f64, second: f64) -> f64 {
    1.0 / (1.0 / first + 1.0 / second)
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) const fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_both_ends() {
        let odd = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.median, odd.lowest, odd.highest), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn two_equal_steps_in_sequence_take_twice_as_long() {
        assert_eq!(in_sequence(200.0, 200.0), 100.0);
    }
}
