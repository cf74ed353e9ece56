//! Processor: how busy it was since the last look, and what it is.

use std::time::Instant;

use serde_json::{Map, Value, json};
use sysinfo::{CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, System};

use super::{Collector, Point, object, two_decimals};

/// The share of processor time that was used, over all cores, between two looks.
#[derive(Default)]
pub(super) struct Busyness {
    looked: Option<(System, Instant)>,
}

impl Busyness {
    /// Percent since the last look, 0 to 100. The first look takes a moment.
    ///
    /// # Errors
    /// This system does not tell.
    pub(super) fn percent(&mut self) -> anyhow::Result<f64> {
        let (mut system, looked) = match self.looked.take() {
            Some(looked) => looked,
            None => {
                let mut system = System::new()?;
                system.refresh_cpu_usage();
                (system, Instant::now())
            }
        };
        // Nearer looks give noise.
        std::thread::sleep(MINIMUM_CPU_UPDATE_INTERVAL.saturating_sub(looked.elapsed()));
        system.refresh_cpu_usage();
        let percent = f64::from(system.global_cpu_usage()).clamp(0.0, 100.0);
        self.looked = Some((system, Instant::now()));
        Ok(two_decimals(percent))
    }
}

/// `cpu_percent`.
#[derive(Default)]
pub(super) struct CpuPercent(Busyness);

impl Collector for CpuPercent {
    type Reading = Vec<Point>;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        Ok(vec![Point::new("cpu_percent", self.0.percent()?)?])
    }
}

/// Model, cores, and use since the last report.
#[derive(Default)]
pub(super) struct CpuSection(Busyness);

impl Collector for CpuSection {
    type Reading = Map<String, Value>;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn collect(&mut self) -> anyhow::Result<Map<String, Value>> {
        let mut system = System::new()?;
        system.refresh_cpu_list(CpuRefreshKind::nothing());
        let model = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
        Ok(object(json!({
            "cpu_model": model.filter(|model| !model.is_empty()),
            "cpu_cores": System::physical_core_count().ok(),
            "cpu_threads": system.cpus().len(),
            "cpu_architecture": System::cpu_arch(),
            "cpu_percent": self.0.percent()?,
        })))
    }
}
