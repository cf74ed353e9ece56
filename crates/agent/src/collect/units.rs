//! systemd units: `unit_active_{unit}` and `unit_failed_{unit}`, 1 or 0.
//!
//! Asks `systemctl`, which speaks to every version of systemd and needs no rights to read.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::names::Named;
use super::program::{Program, Runner};
use super::{Collector, Point};

/// Where `systemctl` is.
const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];
/// How long it may take.
const WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Units {
    arguments: Vec<String>,
    runner: Runner,
    shortfall: Option<String>,
}

impl Units {
    pub(super) fn new(units: Vec<String>) -> Self {
        let fixed = ["show", "--no-pager", "--property=Id,LoadState,ActiveState", "--"];
        let arguments = fixed.iter().map(|word| (*word).to_owned()).chain(units).collect();
        Self { arguments, runner: Runner::default(), shortfall: None }
    }
}

impl Collector for Units {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let found = SYSTEMCTL.iter().map(PathBuf::from).find(|path| path.exists());
        let path = found.context("no systemctl is here; switch collectors.units off")?;
        let systemctl = Program { path, arguments: self.arguments.clone(), timeout: WITHIN };
        let told = self.runner.run(&systemctl)?;
        let (points, shortfall) = read(&String::from_utf8_lossy(&told))?;
        self.shortfall = shortfall;
        Ok(points)
    }

    fn shortfall(&self) -> Option<String> {
        self.shortfall.clone()
    }
}

/// Reads paragraphs of `Name=value`, one a unit.
fn read(told: &str) -> anyhow::Result<(Vec<Point>, Option<String>)> {
    let mut named = Named::new("units");
    let mut unknown = Vec::new();
    for paragraph in told.split("\n\n") {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        };
        let (Some(unit), Some(state)) = (field("Id"), field("ActiveState")) else { continue };
        if field("LoadState") == Some("not-found") {
            unknown.push(unit);
            continue;
        }
        // A unit that reloads serves all the while.
        let active = matches!(state, "active" | "reloading" | "refreshing");
        let values = [
            ("unit_active", f64::from(u8::from(active))),
            ("unit_failed", f64::from(u8::from(state == "failed"))),
        ];
        named.add(unit.to_owned(), values);
    }
    let (points, mut shortfall) = named.points()?;
    if !unknown.is_empty() {
        shortfall = Some(format!("there is no unit {}", unknown.join(", ")));
    }
    Ok((points, shortfall))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_become_numbers_and_a_missing_unit_is_named() {
        let told = "Id=ssh.service\nLoadState=loaded\nActiveState=active\n\n\
                    Id=backup.service\nLoadState=loaded\nActiveState=failed\n\n\
                    Id=typo.service\nLoadState=not-found\nActiveState=inactive\n";
        let (points, shortfall) = read(told).unwrap();
        let read: Vec<(&str, f64)> =
            points.iter().map(|point| (point.metric.as_str(), point.value)).collect();
        assert_eq!(
            read,
            [
                ("unit_active_backup_service", 0.0),
                ("unit_failed_backup_service", 1.0),
                ("unit_active_ssh_service", 1.0),
                ("unit_failed_ssh_service", 0.0),
            ]
        );
        assert_eq!(shortfall.unwrap(), "there is no unit typo.service");
    }
}
