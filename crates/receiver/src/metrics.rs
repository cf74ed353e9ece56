//! What one lane counts. docs/metrics.md explains every name; a story holds the two together.
//!
//! Promises: figures are taken once a batch, the delay alone once a message; labels are streams,
//! verdicts, stages and reasons. Refuses: a label that grows with tenants or devices.

use broker::{Delivery, Parked};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use protocol::Reject;
use tokio::time::Instant;

/// Upper bounds of the batch sizes, in messages.
const BATCH_MESSAGES: [f64; 8] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 10_000.0];
/// Upper bounds of the stages' durations, in seconds.
const STAGE_SECONDS: [f64; 12] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
/// Upper bounds of the delay, in seconds; an outage or an emptied spool reaches the last.
const DELAY_SECONDS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3_600.0];

/// A step of the pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    Fetch,
    Decode,
    Write,
    Settle,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Write => "write",
            Self::Settle => "settle",
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    Done,
    Parked,
    Surplus,
    Deferred,
    Retried,
}

impl Verdict {
    const ALL: [Self; 5] = [Self::Done, Self::Parked, Self::Surplus, Self::Deferred, Self::Retried];

    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Parked => "parked",
            Self::Surplus => "surplus",
            Self::Deferred => "deferred",
            Self::Retried => "retried",
        }
    }
}

/// The figures of one lane.
pub(crate) struct Figures {
    stream: KeyValue,
    /// Stream and sink of what is written; `None`: nothing is.
    written_to: Option<[KeyValue; 2]>,
    written: Counter<u64>,
    messages: Counter<u64>,
    dead_letters: Counter<u64>,
    redelivered: Counter<u64>,
    batch: Histogram<u64>,
    stage: Histogram<f64>,
    delay: Histogram<f64>,
    held: UpDownCounter<i64>,
    sink_up: Gauge<u64>,
    sink_retries: Counter<u64>,
    stage_began: Instant,
}

impl Figures {
    pub(crate) fn new(meter: &Meter, stream: &'static str) -> Self {
        let counter = |name, what| meter.u64_counter(name).with_description(what).build();
        let seconds = |name, what, bounds: &[f64]| {
            let histogram = meter.f64_histogram(name).with_description(what).with_unit("s");
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        let figures = Self {
            stream: KeyValue::new("stream", stream),
            written_to: sink(stream)
                .map(|sink| [KeyValue::new("stream", stream), KeyValue::new("sink", sink)]),
            written: counter(
                "wegweiser_writes_total",
                "Points and rows whose write their sink has confirmed.",
            ),
            messages: counter("wegweiser_messages_total", "Messages with their verdicts."),
            dead_letters: counter("wegweiser_dead_letters_total", "Messages parked, by reason."),
            redelivered: counter(
                "wegweiser_redelivered_messages_total",
                "Messages fetched that had been delivered before.",
            ),
            batch: meter
                .u64_histogram("wegweiser_batch_messages")
                .with_description("Messages fetched at one time.")
                .with_boundaries(BATCH_MESSAGES.to_vec())
                .build(),
            stage: seconds(
                "wegweiser_stage_duration_seconds",
                "Time of one batch in one stage; fetch includes waiting for messages.",
                &STAGE_SECONDS,
            ),
            delay: seconds(
                "wegweiser_delay_seconds",
                "From the device's time stamp to the confirmed write.",
                &DELAY_SECONDS,
            ),
            held: meter
                .i64_up_down_counter("wegweiser_held_messages")
                .with_description("Messages fetched and not settled yet.")
                .build(),
            sink_up: meter
                .u64_gauge("wegweiser_sink_up")
                .with_description("Whether the newest write was confirmed.")
                .build(),
            sink_retries: counter(
                "wegweiser_sink_retries_total",
                "Writes that an ill sink did not confirm; they are tried again.",
            ),
            stage_began: Instant::now(),
        };
        figures.start_at_zero();
        figures
    }

    /// What has not happened yet is 0 rather than absent, so that the first time shows as a rise.
    fn start_at_zero(&self) {
        for verdict in Verdict::ALL {
            self.verdict(verdict, 0);
        }
        for code in Reject::CODES {
            self.dead_letters.add(0, &[self.stream.clone(), KeyValue::new("reason", *code)]);
        }
        self.written(0);
        let stream = self.labels();
        self.redelivered.add(0, stream);
        self.sink_retries.add(0, stream);
        self.held.add(0, stream);
    }

    const fn labels(&self) -> &[KeyValue] {
        std::slice::from_ref(&self.stream)
    }

    /// Ends a stage; the next one begins.
    pub(crate) fn end(&mut self, stage: Stage) {
        let seconds = self.stage_began.elapsed().as_secs_f64();
        self.stage_began = Instant::now();
        self.stage.record(seconds, &[self.stream.clone(), KeyValue::new("stage", stage.name())]);
    }

    /// A batch is in our hands.
    pub(crate) fn fetched(&mut self, deliveries: &[Delivery]) {
        self.end(Stage::Fetch);
        let redelivered = deliveries.iter().filter(|delivery| delivery.attempt() > 1).count();
        self.batch.record(as_u64(deliveries.len()), self.labels());
        self.redelivered.add(as_u64(redelivered), self.labels());
        self.held.add(as_i64(deliveries.len()), self.labels());
    }

    /// The sink confirmed a write, or did not.
    pub(crate) fn sink(&self, up: bool) {
        self.sink_up.record(u64::from(up), self.labels());
        if !up {
            self.sink_retries.add(1, self.labels());
        }
    }

    /// A message is durable, so long after its device sent it. A device whose clock runs ahead
    /// counts as no delay.
    pub(crate) fn durable(&self, delay_ms: i64) {
        let delay_ms = u32::try_from(delay_ms.max(0)).unwrap_or(u32::MAX);
        self.delay.record(f64::from(delay_ms) / 1_000.0, self.labels());
    }

    /// So many points or rows of a batch are durable.
    pub(crate) fn written(&self, count: usize) {
        if let Some(labels) = &self.written_to {
            self.written.add(as_u64(count), labels);
        }
    }

    pub(crate) fn verdict(&self, verdict: Verdict, messages: usize) {
        let labels = [self.stream.clone(), KeyValue::new("verdict", verdict.name())];
        self.messages.add(as_u64(messages), &labels);
    }

    /// A message of this lane is parked.
    pub(crate) fn parked(&self, stream: &str, reject: &Reject, proof: &Parked) {
        let verdict = if proof.is_surplus() { Verdict::Surplus } else { Verdict::Parked };
        self.verdict(verdict, 1);
        self.dead_letter(stream, reject, proof);
    }

    /// A message of `stream`, which need not be this lane's own, is a dead letter, if it is kept.
    pub(crate) fn dead_letter(&self, stream: &str, reject: &Reject, proof: &Parked) {
        if proof.is_surplus() {
            return;
        }
        let labels =
            [KeyValue::new("stream", stream.to_owned()), KeyValue::new("reason", reject.code())];
        self.dead_letters.add(1, &labels);
    }

    /// A batch has left our hands.
    pub(crate) fn settled(&mut self, messages: usize) {
        self.end(Stage::Settle);
        self.held.add(-as_i64(messages), self.labels());
    }
}

/// Where a stream's messages are written.
fn sink(stream: &str) -> Option<&'static str> {
    match stream {
        "METRICS" | "METRICS_DEFERRED" => Some("redis"),
        "HEARTBEATS" | "MONITORING" | "RESPONSES" => Some("postgres"),
        _ => None,
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
