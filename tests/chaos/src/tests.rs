//! What `make test` runs of the suite: a cut of the scenarios, and that the documentation names all.

use anyhow::{Result, ensure};

use crate::report;
use crate::scenarios::{ALL, Scenario};
use crate::settings::Scale;
use crate::world::repository;

/// Left to `make chaos`: they wait for times that no cut shortens, or measure what a machine that
/// is shared cannot show.
const LEFT_OUT: [&str; 7] = [
    "network",
    "deadly-to-decode",
    "all-dead-at-last-delivery",
    "shares",
    "stalled-consumer",
    "backlog",
    "alerts",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_the_suite_holds() -> Result<()> {
    let cut: Vec<&Scenario> =
        ALL.iter().filter(|scenario| !LEFT_OUT.contains(&scenario.name)).collect();
    let rows = report::run_all(&cut, Scale::SHORT).await;
    let failed: Vec<&str> = rows.iter().filter(|row| !row.holds).map(|row| row.name).collect();
    ensure!(failed.is_empty(), "{failed:?} did not hold; their figures are above");
    Ok(())
}

#[test]
fn the_documentation_names_every_scenario() -> Result<()> {
    let document = std::fs::read_to_string(repository().join("docs/faults.md"))?;
    for Scenario { name, what, metric, log, .. } in ALL {
        let section = format!("### `{name}`");
        let Some((_, text)) = document.split_once(&section) else {
            anyhow::bail!("docs/faults.md has no section {section:?}");
        };
        let text = text.split("\n### ").next().unwrap_or_default();
        for wanted in [what, metric, log] {
            ensure!(text.contains(wanted), "docs/faults.md, {name}: say {wanted:?}");
        }
    }
    let sections = document.matches("\n### `").count();
    ensure!(sections == ALL.len(), "docs/faults.md has {sections} scenarios, not {}", ALL.len());
    Ok(())
}
