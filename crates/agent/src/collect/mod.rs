//! What looks at the machine: one small part a subject, all of one shape.
//!
//! A [`Collector`] reads and may block; [`Patient`] runs it on a thread beside the others and
//! waits for it no longer than asked; how each fares stands in the [`Journal`]. To add one, write
//! it and name it in [`What`] (metric points) or [`sections`] (the monitoring report).

mod cpu;
mod custom;
mod disk;
mod disk_io;
mod host;
mod journal;
mod memory;
mod names;
mod network;
mod patient;
mod processes;
mod program;
mod temperatures;
mod units;
mod watch_list;

use protocol::MetricType;
use serde_json::{Map, Value};

pub(crate) use host::Summary;
pub(crate) use journal::Journal;
pub(crate) use patient::Patient;
pub(crate) use program::Program;

/// A part that looks at the machine.
pub(crate) trait Collector: Send + 'static {
    /// What it brings.
    type Reading: Send + 'static;

    /// Looks. May block, on a thread of its own.
    ///
    /// # Errors
    /// What could not be read, in words for the operator.
    fn collect(&mut self) -> anyhow::Result<Self::Reading>;

    /// What the last reading leaves out, if anything.
    fn shortfall(&self) -> Option<String> {
        None
    }
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

/// A subject of live metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Cpu,
    Memory,
    Disk,
    Network,
    Uptime,
    Cores,
    Load,
    Swap,
    DiskIo,
    Disks,
    Interfaces,
    Temperatures,
    /// Processes with these names.
    Processes(Vec<String>),
    /// These systemd units.
    Units(Vec<String>),
    /// A program of the user's own, and its name.
    Custom(String, Program),
}

impl What {
    /// The collector of it.
    pub(crate) fn collector(&self) -> Live {
        match self.clone() {
            Self::Cpu => Box::new(cpu::CpuPercent::default()),
            Self::Memory => Box::new(memory::MemoryPercent::default()),
            Self::Disk => Box::new(disk::DiskPercent),
            Self::Network => Box::new(network::Counters::default()),
            Self::Uptime => Box::new(host::Uptime),
            Self::Cores => Box::new(cpu::Cores::default()),
            Self::Load => Box::new(host::Load),
            Self::Swap => Box::new(memory::SwapPercent::default()),
            Self::DiskIo => Box::new(disk_io::DiskIo::default()),
            Self::Disks => Box::new(disk::EachDisk::default()),
            Self::Interfaces => Box::new(network::EachInterface::default()),
            Self::Temperatures => Box::new(temperatures::Temperatures::default()),
            Self::Processes(names) => Box::new(watch_list::WatchList::new(names)),
            Self::Units(units) => Box::new(units::Units::new(units)),
            Self::Custom(name, program) => Box::new(custom::Custom::new(name, program)),
        }
    }
}

/// The sections of the monitoring report, with their names.
pub(crate) fn sections() -> Vec<(&'static str, Section)> {
    vec![
        ("host", Box::new(host::HostSection)),
        ("cpu", Box::new(cpu::CpuSection::default())),
        ("memory", Box::new(memory::MemorySection::default())),
        ("disks", Box::new(disk::DisksSection)),
        ("network", Box::new(network::InterfacesSection)),
        ("processes", Box::new(processes::TopProcesses)),
    ]
}

/// Everything about the machine but its processes; what cannot be had is named under `errors`.
pub(crate) fn machine() -> anyhow::Result<Map<String, Value>> {
    let mut told = Map::new();
    let mut errors = Map::new();
    for (name, mut section) in sections() {
        if name == "processes" {
            continue;
        }
        match section.collect() {
            Ok(reading) => told.extend(reading),
            Err(error) => drop(errors.insert(name.to_owned(), format!("{error:#}").into())),
        }
    }
    if !errors.is_empty() {
        told.insert("errors".to_owned(), errors.into());
    }
    Ok(told)
}

/// The `limit` processes that use the processor most.
pub(crate) fn processes(limit: usize) -> anyhow::Result<Map<String, Value>> {
    processes::list(limit)
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
