//! What looks at the machine: one small part a subject, all of one shape.
//!
//! A [`Collector`] reads and may block; [`Patient`] runs it on a thread beside the others and
//! waits for it no longer than asked. To add one, write it and name it in [`live`] (metric points)
//! or [`sections`] (the monitoring report).

mod cpu;
mod disk;
mod host;
mod memory;
mod network;
mod patient;
mod processes;

use protocol::MetricType;
use serde_json::{Map, Value};

pub(crate) use host::Summary;
pub(crate) use patient::Patient;

/// A part that looks at the machine.
pub(crate) trait Collector: Send + 'static {
    /// What it brings.
    type Reading: Send + 'static;

    /// Its name in logs and reports.
    fn name(&self) -> &'static str;

    /// Looks. May block, on a thread of its own.
    ///
    /// # Errors
    /// What could not be read, in words for the operator.
    fn collect(&mut self) -> anyhow::Result<Self::Reading>;
}

/// One value of one metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) metric: MetricType,
    pub(crate) value: f64,
}

impl Point {
    /// # Errors
    /// The name is outside the rule of metric types.
    fn new(metric: &str, value: f64) -> anyhow::Result<Self> {
        Ok(Self { metric: metric.parse()?, value })
    }
}

type Live = Box<dyn Collector<Reading = Vec<Point>>>;
type Section = Box<dyn Collector<Reading = Map<String, Value>>>;

/// The collectors of live metrics.
pub(crate) fn live() -> Vec<Live> {
    vec![
        Box::new(cpu::CpuPercent::default()),
        Box::new(memory::MemoryPercent::default()),
        Box::new(disk::DiskPercent),
        Box::new(network::Counters::default()),
        Box::new(host::Uptime),
    ]
}

/// The sections of the monitoring report.
pub(crate) fn sections() -> Vec<Section> {
    vec![
        Box::new(host::HostSection),
        Box::new(cpu::CpuSection::default()),
        Box::new(memory::MemorySection::default()),
        Box::new(disk::DisksSection),
        Box::new(network::InterfacesSection),
        Box::new(processes::TopProcesses),
    ]
}

/// `part` of `whole` in percent, with two decimals; nothing of nothing is 0.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    two_decimals(number(part) / number(whole) * 100.0)
}

fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Exact up to 2^53, which is 8 PiB where bytes are counted.
#[expect(clippy::cast_precision_loss, reason = "what is lost is below a byte in 8 PiB")]
const fn number(count: u64) -> f64 {
    count as f64
}

/// A JSON object from `json!({…})`.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
