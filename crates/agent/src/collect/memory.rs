//! Memory. Used is what cannot be had without swapping: total less available.

use serde_json::{Map, Value, json};
use sysinfo::{MemoryRefreshKind, System};

use super::{Collector, Point, object, percent};

/// Memory and swap, in bytes.
#[derive(Default)]
pub(super) struct Memory(Option<System>);

impl Memory {
    /// # Errors
    /// This system does not tell.
    fn look(&mut self, kind: MemoryRefreshKind) -> anyhow::Result<&System> {
        let system = match self.0.take() {
            Some(system) => system,
            None => System::new()?,
        };
        let system = self.0.insert(system);
        system.refresh_memory_specifics(kind);
        Ok(system)
    }

    /// Percent of memory in use, 0 to 100.
    ///
    /// # Errors
    /// This system does not tell.
    pub(super) fn percent(&mut self) -> anyhow::Result<f64> {
        let system = self.look(MemoryRefreshKind::nothing().with_ram())?;
        Ok(percent(system.used_memory(), system.total_memory()))
    }
}

/// `memory_percent`.
#[derive(Default)]
pub(super) struct MemoryPercent(Memory);

impl Collector for MemoryPercent {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        Ok(vec![Point::new("memory_percent", self.0.percent()?)?])
    }
}

/// `swap_percent`; a machine without swap has none in use.
#[derive(Default)]
pub(super) struct SwapPercent(Memory);

impl Collector for SwapPercent {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let system = self.0.look(MemoryRefreshKind::nothing().with_swap())?;
        let percent = percent(system.used_swap(), system.total_swap());
        Ok(vec![Point::new("swap_percent", percent)?])
    }
}

/// Memory and swap with their use.
#[derive(Default)]
pub(super) struct MemorySection(Memory);

impl Collector for MemorySection {
    type Reading = Map<String, Value>;

    fn collect(&mut self) -> anyhow::Result<Map<String, Value>> {
        let system = self.0.look(MemoryRefreshKind::everything())?;
        let (used, total) = (system.used_memory(), system.total_memory());
        Ok(object(json!({
            "memory_total_bytes": total,
            "memory_used_bytes": used,
            "memory_available_bytes": system.available_memory(),
            "memory_percent": percent(used, total),
            "swap_total_bytes": system.total_swap(),
            "swap_used_bytes": system.used_swap(),
        })))
    }
}
