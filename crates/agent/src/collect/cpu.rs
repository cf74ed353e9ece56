//! Processor: how busy it was since the last look, and what it is.

use std::time::Instant;

use serde_json::{Map, Value, json};
use sysinfo::{CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, System};

use super::names::left_out;
use super::{Collector, Point, object, two_decimals};

/// Most cores that have a metric each.
const CORES_MAX: usize = 64;

/// The share of processor time that was used, over all cores, between two looks.
#[derive(Default)]
pub(super) struct Busyness {
    looked: Option<(System, Instant)>,
}

impl Busyness {
    /// The first look takes a moment.
    fn look(&mut self) -> anyhow::Result<&System> {
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
        Ok(&self.looked.insert((system, Instant::now())).0)
    }

    /// Percent since the last look, 0 to 100.
    ///
    /// # Errors
    /// This system does not tell.
    pub(super) fn percent(&mut self) -> anyhow::Result<f64> {
        Ok(as_percent(self.look()?.global_cpu_usage()))
    }
}

fn as_percent(usage: f32) -> f64 {
    two_decimals(f64::from(usage).clamp(0.0, 100.0))
}

/// `cpu_percent`.
#[derive(Default)]
pub(super) struct CpuPercent(Busyness);

impl Collector for CpuPercent {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        Ok(vec![Point::new("cpu_percent", self.0.percent()?)?])
    }
}

/// `cpu_percent_core_0` and so on.
#[derive(Default)]
pub(super) struct Cores {
    busyness: Busyness,
    shortfall: Option<String>,
}

impl Collector for Cores {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let cores = self.busyness.look()?.cpus();
        self.shortfall = left_out(cores.len(), CORES_MAX, "cores");
        let points = cores.iter().take(CORES_MAX).enumerate();
        points
            .map(|(core, cpu)| {
                Point::new(&format!("cpu_percent_core_{core}"), as_percent(cpu.usage()))
            })
            .collect()
    }

    fn shortfall(&self) -> Option<String> {
        self.shortfall.clone()
    }
}

/// Model, cores, and use since the last report.
#[derive(Default)]
pub(super) struct CpuSection(Busyness);

impl Collector for CpuSection {
    type Reading = Map<String, Value>;

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
