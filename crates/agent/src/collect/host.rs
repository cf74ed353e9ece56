//! The host: names, versions, how long it is up; and the short summary of a heartbeat.

use serde_json::{Map, Value, json};
use sysinfo::System;

use super::cpu::Busyness;
use super::memory::Memory;
use super::{Collector, Point, number, object, two_decimals};

/// The operating system's family, in the words of the first generation.
fn platform() -> &'static str {
    match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        "windows" => "Windows",
        other => other,
    }
}

/// `uptime`: seconds since boot.
pub(super) struct Uptime;

impl Collector for Uptime {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        Ok(vec![Point::new("uptime", number(System::uptime()?))?])
    }
}

/// `load_1`, `load_5` and `load_15`.
pub(super) struct Load;

impl Collector for Load {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let load = System::load_average()?;
        Ok(vec![
            Point::new("load_1", two_decimals(load.one))?,
            Point::new("load_5", two_decimals(load.five))?,
            Point::new("load_15", two_decimals(load.fifteen))?,
        ])
    }
}

/// What stands in every heartbeat.
#[derive(Default)]
pub(crate) struct Summary {
    cpu: Busyness,
    memory: Memory,
}

impl Collector for Summary {
    type Reading = Map<String, Value>;

    fn collect(&mut self) -> anyhow::Result<Map<String, Value>> {
        Ok(object(json!({
            "platform": platform(),
            "hostname": System::host_name().ok(),
            "os_version": System::long_os_version().ok(),
            "kernel": System::kernel_version().ok(),
            "uptime": System::uptime().ok(),
            "cpu_percent": self.cpu.percent().ok(),
            "memory_percent": self.memory.percent().ok(),
        })))
    }
}

/// Names, versions and boot.
pub(super) struct HostSection;

impl Collector for HostSection {
    type Reading = Map<String, Value>;

    fn collect(&mut self) -> anyhow::Result<Map<String, Value>> {
        let load = System::load_average().ok();
        let load = load.map(|load| [load.one, load.five, load.fifteen].map(two_decimals));
        Ok(object(json!({
            "hostname": System::host_name().ok(),
            "platform": platform(),
            "os_name": System::name().ok(),
            "os_version": System::long_os_version().ok(),
            "kernel": System::kernel_version().ok(),
            "boot_time": System::boot_time().ok(),
            "uptime": System::uptime().ok(),
            "load_average": load,
        })))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_that_of_proc() {
        let proc = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split_whitespace().next().unwrap().parse::<f64>().unwrap().floor()
        };
        let before = proc();
        let points = Uptime.collect().unwrap();
        assert!((before..=proc()).contains(&points[0].value), "{points:?}, proc {before}");
    }

    #[test]
    fn the_summary_is_complete_from_the_first_heartbeat_on() {
        let summary = Summary::default().collect().unwrap();
        for field in ["platform", "hostname", "os_version", "kernel"] {
            assert!(summary[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
        for field in ["cpu_percent", "memory_percent"] {
            let value = summary[field].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&value), "{field} is {value}");
        }
        assert!(summary["uptime"].as_u64().unwrap() > 0);
    }
}
