//! Processes by name: how many run, and what they use together.

use std::collections::BTreeMap;

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use super::names::Named;
use super::{Collector, Point, number, two_decimals};

/// `process_count_{name}`, `process_cpu_percent_{name}` (of one core, since the last look) and
/// `process_memory_bytes_{name}`. A name that no process has counts 0.
pub(super) struct WatchList {
    names: Vec<String>,
    looked: Option<System>,
}

#[derive(Default)]
struct Use {
    count: u64,
    cpu_percent: f64,
    memory_bytes: u64,
}

impl WatchList {
    pub(super) const fn new(names: Vec<String>) -> Self {
        Self { names, looked: None }
    }
}

impl Collector for WatchList {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let first = self.looked.is_none();
        let system = match self.looked.take() {
            Some(system) => system,
            None => System::new()?,
        };
        let system = self.looked.insert(system);
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        let mut uses: BTreeMap<&str, Use> =
            self.names.iter().map(|name| (name.as_str(), Use::default())).collect();
        for process in system.processes().values() {
            if let Some(all) = process.name().to_str().and_then(|name| uses.get_mut(name)) {
                all.count += 1;
                all.cpu_percent += f64::from(process.cpu_usage());
                all.memory_bytes += process.memory();
            }
        }
        let mut named = Named::new("processes");
        for (name, all) in uses {
            let count = ("process_count", number(all.count));
            let memory = ("process_memory_bytes", number(all.memory_bytes));
            if first {
                // Nothing to compare with yet.
                named.add(name.to_owned(), [count, memory]);
            } else {
                let cpu = ("process_cpu_percent", two_decimals(all.cpu_percent));
                named.add(name.to_owned(), [count, cpu, memory]);
            }
        }
        Ok(named.points()?.0)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn processes_are_counted_by_name_and_a_missing_one_is_0() {
        let me = std::fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned();
        let mut list = WatchList::new(vec![me.clone(), "no-such-program".to_owned()]);
        list.collect().unwrap();
        let points = list.collect().unwrap();
        let value = |prefix: &str, name: &str| {
            let wanted = format!("{prefix}_{}", super::super::names::token(name));
            points.iter().find(|point| point.metric.as_str() == wanted).unwrap().value
        };
        assert!(value("process_count", &me) >= 1.0);
        assert!(value("process_memory_bytes", &me) > 0.0);
        assert!(value("process_cpu_percent", &me) >= 0.0);
        assert_eq!(value("process_count", "no-such-program"), 0.0);
    }
}
