//! The processes that use most. Names only: a command line may hold secrets.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Collector, object, percent, two_decimals};

/// How many a list has.
const TOP: usize = 10;
/// The span over which processor use is measured.
const MEASURED: Duration = Duration::from_secs(1);

/// The top processes by processor and by memory.
pub(super) struct TopProcesses;

impl Collector for TopProcesses {
    type Reading = Map<String, Value>;

    fn collect(&mut self) -> anyhow::Result<Map<String, Value>> {
        let system = measured()?;
        let total_memory = system.total_memory();
        let mut processes: Vec<&Process> = system.processes().values().collect();
        processes.sort_by(|one, other| other.cpu_usage().total_cmp(&one.cpu_usage()));
        let by_cpu = top_of(&processes, total_memory);
        processes.sort_by_key(|process| std::cmp::Reverse(process.memory()));
        let by_memory = top_of(&processes, total_memory);
        Ok(object(json!({
            "process_count": processes.len(),
            "top_processes_by_cpu": by_cpu,
            "top_processes_by_memory": by_memory,
        })))
    }
}

/// The `limit` processes that use the processor most.
pub(super) fn list(limit: usize) -> anyhow::Result<Map<String, Value>> {
    let system = measured()?;
    let mut processes: Vec<&Process> = system.processes().values().collect();
    processes.sort_by(|one, other| other.cpu_usage().total_cmp(&one.cpu_usage()));
    let listed = first_of(&processes, limit, system.total_memory());
    Ok(object(json!({ "process_count": processes.len(), "processes": listed })))
}

/// Every process, with its use of the processor over [`MEASURED`].
fn measured() -> anyhow::Result<System> {
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
    // Not kept between reports: it holds every process of the machine.
    let mut system = System::new()?;
    system.refresh_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    std::thread::sleep(MEASURED);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    Ok(system)
}

fn top_of(processes: &[&Process], total_memory: u64) -> Vec<Value> {
    first_of(processes, TOP, total_memory)
}

fn first_of(processes: &[&Process], count: usize, total_memory: u64) -> Vec<Value> {
    processes.iter().take(count).map(|process| describe(process, total_memory)).collect()
}

fn describe(process: &Process, total_memory: u64) -> Value {
    json!({
        "pid": process.pid().as_u32(),
        "name": process.name().to_string_lossy(),
        // Of one core, so that a process with threads may have more than 100.
        "cpu_percent": two_decimals(f64::from(process.cpu_usage())),
        "memory_bytes": process.memory(),
        "memory_percent": percent(process.memory(), total_memory),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_order_and_show_no_command_line() {
        let section = TopProcesses.collect().unwrap();
        assert!(section["process_count"].as_u64().unwrap() > 0);
        for (list, by) in
            [("top_processes_by_cpu", "cpu_percent"), ("top_processes_by_memory", "memory_bytes")]
        {
            let values: Vec<f64> = section[list]
                .as_array()
                .unwrap()
                .iter()
                .map(|process| process[by].as_f64().unwrap())
                .collect();
            assert!((1..=TOP).contains(&values.len()));
            assert!(values.is_sorted_by(|one, next| one >= next), "{list}: {values:?}");
        }
        let fields: Vec<&String> =
            section["top_processes_by_cpu"][0].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["cpu_percent", "memory_bytes", "memory_percent", "name", "pid"]);
    }
}
