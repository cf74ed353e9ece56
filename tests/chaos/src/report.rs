//! The figures of a run, as one table for people and as JSON for programs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use devstack::output;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use crate::findings::{Figure, Findings};
use crate::scenarios::Scenario;
use crate::settings::{ChaosSettings, Scale};

/// Longest that a scenario takes; a full one needs six minutes.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Everything that a run found.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    #[serde(with = "time::serde::rfc3339")]
    finished: OffsetDateTime,
    settings: &'a ChaosSettings,
    holds: bool,
    scenarios: &'a [Row],
}

/// One scenario of a run.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    what: &'static str,
    metric: &'static str,
    log: &'static str,
    pub(crate) holds: bool,
    seconds: f64,
    figures: Findings,
    /// Why it could not be run to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// Runs scenarios one after the other; those that only wait, beside each other.
pub(crate) async fn run_all(scenarios: &[&'static Scenario], scale: Scale) -> Vec<Row> {
    let mut rows = Vec::new();
    for beside in scenarios.chunk_by(|one, next| one.waits && next.waits) {
        let beside = beside.iter().map(|scenario| run(scenario, scale));
        rows.extend(futures::future::join_all(beside).await);
    }
    rows
}

/// Runs a scenario, and prints what it found.
async fn run(scenario: &Scenario, scale: Scale) -> Row {
    let started = Instant::now();
    let found = match timeout(LONGEST, (scenario.run)(scale)).await {
        Ok(found) => found,
        Err(_) => Err(anyhow!("not ended within {LONGEST:?}; whatever it had started is stopped")),
    };
    let row = Row::new(scenario, found, started.elapsed());
    row.print();
    row
}

impl Row {
    fn new(scenario: &Scenario, found: Result<Findings>, took: Duration) -> Self {
        let Scenario { name, what, metric, log, .. } = *scenario;
        let (figures, failed) = match found {
            Ok(figures) => (figures, None),
            Err(error) => (Findings::default(), Some(format!("{error:#}"))),
        };
        let holds = failed.is_none() && figures.hold();
        Self { name, what, metric, log, holds, seconds: took.as_secs_f64(), figures, failed }
    }

    /// The row as people read it.
    fn print(&self) {
        let Self { name, what, metric, log, seconds, .. } = self;
        let verdict = if self.holds { "holds" } else { "FAILS" };
        output::line(&format!("\n{name}  {verdict}  {seconds:.0} s"));
        output::line(&format!("    {what}"));
        for Figure { what, value, demanded, holds } in &self.figures.0 {
            let demanded = demanded.as_ref().map_or(String::new(), |demanded| {
                let word = if *holds { "as demanded" } else { "DEMANDED" };
                format!("  ({word}: {demanded})")
            });
            output::line(&format!("    {what:<62} {value:>12}{demanded}"));
        }
        if let Some(failed) = &self.failed {
            output::line(&format!("    could not be run to its end: {failed}"));
        }
        output::line(&format!("    told by  metric {metric}; log {log:?}"));
    }
}

impl<'a> Report<'a> {
    pub(crate) fn new(settings: &'a ChaosSettings, rows: &'a [Row]) -> Self {
        let holds = rows.iter().all(|row| row.holds);
        Self { finished: OffsetDateTime::now_utc(), settings, holds, scenarios: rows }
    }

    /// Every scenario with its figures in a line, and what does not hold. Whether everything does.
    pub(crate) fn print(&self) -> bool {
        output::line(&format!("\n{:<26}{:>6}{:>9}  figures", "scenario", "", "seconds"));
        for Row { name, holds, seconds, figures, failed, .. } in self.scenarios {
            let verdict = if *holds { "holds" } else { "FAILS" };
            let figures = failed.clone().unwrap_or_else(|| figures.in_a_line());
            output::line(&format!("{name:<26}{verdict:>6}{seconds:>9.0}  {figures}"));
        }
        let failed = self.scenarios.iter().filter(|row| !row.holds).count();
        let all = self.scenarios.len();
        output::line(&format!("\n{} of {all} scenarios hold", all - failed));
        self.holds
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let json = serde_json::to_string_pretty(self)?;
        fs::write(path, json).with_context(|| format!("writing {}", path.display()))?;
        output::line(&format!("\nfigures: {}", path.display()));
        Ok(())
    }
}
