//! What work costs: CPU time and memory of each process, as the kernel counts them.
//!
//! Promises: also tells how busy everybody else was, so that a disturbed run can be seen.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// CPU seconds by who spent them.
pub(crate) type CpuSeconds = BTreeMap<&'static str, f64>;

/// Processes whose cost is read, each with all that it started.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    processes: Vec<(&'static str, u32)>,
}

/// What was spent up to one instant.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    spent: CpuSeconds,
    /// All processes of the machine together.
    machine: f64,
}

/// What a leg cost.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cost {
    /// CPU seconds by process.
    pub(crate) cpu_seconds: CpuSeconds,
    /// CPU seconds of everything else on the machine.
    pub(crate) others_cpu_seconds: f64,
    /// The most memory that the drained program held since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_rss_bytes: Option<u64>,
}

impl Meter {
    pub(crate) const fn new(processes: Vec<(&'static str, u32)>) -> Self {
        Self { processes }
    }

    /// The same with one more process.
    pub(crate) fn with(&self, name: &'static str, pid: u32) -> Self {
        let mut meter = self.clone();
        meter.processes.push((name, pid));
        meter
    }

    pub(crate) fn read(&self) -> Result<Reading> {
        let mut spent = CpuSeconds::new();
        for (name, pid) in &self.processes {
            // Replicas share a name.
            *spent.entry(*name).or_default() += tree_seconds(*pid)?;
        }
        Ok(Reading { spent, machine: machine_seconds()? })
    }

    /// What was spent since `before`.
    pub(crate) fn since(&self, before: &Reading) -> Result<Cost> {
        let now = self.read()?;
        let mut cpu_seconds = now.spent;
        for (name, seconds) in &mut cpu_seconds {
            *seconds -= before.spent.get(name).copied().unwrap_or_default();
        }
        let ours: f64 = cpu_seconds.values().sum();
        let others_cpu_seconds = (now.machine - before.machine - ours).max(0.0);
        Ok(Cost { cpu_seconds, others_cpu_seconds, peak_rss_bytes: None })
    }
}

/// The most resident memory that a process has had.
pub(crate) fn peak_rss_bytes(pid: u32) -> Result<u64> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("reading VmHWM of /proc")? * 1024)
}

/// The machine's load average of the last minute.
pub(crate) fn load() -> Result<String> {
    let load = read("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

/// A process and its direct children: a Postgres is a family.
fn tree_seconds(root: u32) -> Result<f64> {
    let mut ticks = Stat::read(root)?.ticks;
    for entry in fs::read_dir("/proc").context("reading /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between being listed and being read.
        if let Ok(stat) = Stat::read(pid)
            && stat.parent == root
            && !is_ours(pid)
        {
            ticks += stat.own_ticks;
        }
    }
    Ok(seconds(ticks))
}

/// The benchmark's own children are measured by their own names.
fn is_ours(pid: u32) -> bool {
    Stat::read(pid).is_ok_and(|stat| stat.parent == std::process::id())
}

struct Stat {
    parent: u32,
    /// Its own time.
    own_ticks: u64,
    /// Its own time, and that of children that have ended.
    ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Result<Self> {
        let stat = read(&format!("/proc/{pid}/stat"))?;
        // The name in brackets may hold blanks; what follows it does not.
        let (_, rest) = stat.rsplit_once(") ").context("reading /proc")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let field = |index: usize| -> Result<u64> {
            let text = fields.get(index).context("reading /proc")?;
            text.parse().context("reading /proc")
        };
        // proc_pid_stat(5), from the state as 0: 1 parent, 11 and 12 own, 13 and 14 children.
        let own_ticks = field(11)? + field(12)?;
        // The benchmark's ended children were measured by their own names.
        let reaped = if pid == std::process::id() { 0 } else { field(13)? + field(14)? };
        Ok(Self {
            parent: u32::try_from(field(1)?).context("reading /proc")?,
            own_ticks,
            ticks: own_ticks + reaped,
        })
    }
}

/// User and system time of everybody, and time taken by other guests of the same host.
fn machine_seconds() -> Result<f64> {
    let stat = read("/proc/stat")?;
    let line = stat.lines().next().context("reading /proc/stat")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|index| ticks.get(*index)).sum();
    Ok(seconds(busy))
}

#[expect(clippy::cast_precision_loss, reason = "ticks since boot are far below 2^52")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}
