//! Counts what devices refused as commands: somebody may be forging them.
//!
//! Promises: counted once it is stored, by the device's reason; what a device makes up is `other`,
//! so that the number of series is bounded. A message that is delivered again counts again.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use protocol::CommandResponse;
use protocol::command::{CommandOutcome, ReasonCode};

/// A reason of nobody's.
const OTHER: &str = "other";

/// What was refused; cheap to clone.
#[derive(Clone)]
pub(crate) struct Refusals(Counter<u64>);

impl Refusals {
    pub(crate) fn new(meter: &Meter) -> Self {
        let counter = meter
            .u64_counter("wegweiser_command_refusals_total")
            .with_description("Messages that devices refused as commands, by their reason.")
            .build();
        // What has not happened yet is 0 rather than absent, so that the first time shows as a rise.
        for reason in ReasonCode::ALL.into_iter().filter(refuses) {
            counter.add(0, &[KeyValue::new("reason", reason.as_str())]);
        }
        Self(counter)
    }

    /// A response is stored.
    pub(crate) fn note(&self, response: &CommandResponse) {
        let Some(told) = response.refusal() else { return };
        let mut reasons = ReasonCode::ALL.into_iter().filter(refuses).map(ReasonCode::as_str);
        let reason = reasons.find(|reason| *reason == told).unwrap_or(OTHER);
        self.0.add(1, &[KeyValue::new("reason", reason)]);
    }
}

fn refuses(reason: &ReasonCode) -> bool {
    reason.outcome() == CommandOutcome::Rejected
}
