//! What a run of the fault suite is told, by the environment.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use runtime::settings::{Reader, Setting};
use serde::Serialize;

use crate::scenarios::{ALL, Scenario};

const SCALE: Setting = Setting {
    name: "CHAOS_SCALE",
    default: Some("100"),
    unit: "percent",
    help: "How much of each scenario's messages and of its outages.",
};
const ONLY: Setting = Setting {
    name: "CHAOS_ONLY",
    default: None,
    unit: "names with commas between",
    help: "The scenarios to run; absent: all of them.",
};
const JSON: Setting = Setting {
    name: "CHAOS_JSON",
    default: Some("target/chaos.json"),
    unit: "a path",
    help: "Where the figures are written.",
};

/// What a run of the fault suite is told.
#[derive(Debug, Serialize)]
pub(crate) struct ChaosSettings {
    pub(crate) scale: Scale,
    pub(crate) only: Vec<String>,
    #[serde(skip)]
    pub(crate) json: PathBuf,
}

impl ChaosSettings {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let only = reader.optional(&ONLY).unwrap_or_default();
        Self {
            scale: Scale { percent: reader.number(&SCALE, 1..=100) },
            only: only
                .split(',')
                .map(str::trim)
                .filter(|n| !n.is_empty())
                .map(Into::into)
                .collect(),
            json: PathBuf::from(reader.text(&JSON)),
        }
    }

    /// The scenarios to run, in their order.
    pub(crate) fn chosen(&self) -> Result<Vec<&'static Scenario>> {
        for name in &self.only {
            let known = ALL.iter().any(|scenario| scenario.name == name);
            ensure!(known, "CHAOS_ONLY: no scenario is called {name}; see docs/faults.md");
        }
        let chosen = |scenario: &&Scenario| {
            self.only.is_empty() || self.only.iter().any(|name| name == scenario.name)
        };
        Ok(ALL.iter().filter(chosen).collect())
    }
}

/// How large a run is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Scale {
    /// Of the full size.
    pub(crate) percent: u32,
}

impl Scale {
    /// What `make test` runs.
    #[cfg(test)]
    pub(crate) const SHORT: Self = Self { percent: 2 };

    /// So many of `full`, at least `least`.
    pub(crate) fn count(self, full: u64, least: u64) -> u64 {
        (full * u64::from(self.percent) / 100).max(least)
    }

    /// So much of `full_seconds`, at least `least_seconds`.
    pub(crate) fn time(self, full_seconds: u64, least_seconds: u64) -> Duration {
        let full = Duration::from_secs(full_seconds) * self.percent / 100;
        full.max(Duration::from_secs(least_seconds))
    }

    /// Whether figures of speed say something: a cut is too short, and shares the machine.
    pub(crate) const fn is_full(self) -> bool {
        self.percent >= 50
    }

    /// The consumers' `ack_wait`: as declared, or short where nobody can wait for it.
    pub(crate) const fn ack_wait(self) -> Option<Duration> {
        if self.is_full() { None } else { Some(Duration::from_secs(4)) }
    }
}
