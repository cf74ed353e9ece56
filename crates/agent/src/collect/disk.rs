//! Disks, counted as `df` counts: what only root may still use is neither used nor available.
//!
//! `disk_percent` is the file system that the operating system is on (`/`): it is what makes a
//! machine stop when it is full, and what the first generation reported. The others are in the
//! monitoring report. Network file systems are left alone, for asking one may hang.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use sysinfo::{Disk, DiskRefreshKind, Disks};

use super::names::Named;
use super::{Collector, Point, object, percent};

/// Where the operating system is.
const ROOT: &str = if cfg!(windows) { r"C:\" } else { "/" };
/// Most disks that a report lists.
const DISKS_MAX: usize = 64;

/// Space of one file system, in bytes.
struct Space {
    total: u64,
    used: u64,
    available: u64,
}

impl Space {
    fn percent(&self) -> f64 {
        percent(self.used, self.used.saturating_add(self.available))
    }

    #[cfg(unix)]
    fn of(mount_point: &Path) -> anyhow::Result<Self> {
        let shown = mount_point.display();
        let told = rustix::fs::statvfs(mount_point).with_context(|| format!("asking {shown}"))?;
        let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
        Ok(Self {
            total: bytes(told.f_blocks),
            used: bytes(told.f_blocks.saturating_sub(told.f_bfree)),
            available: bytes(told.f_bavail),
        })
    }

    #[cfg(not(unix))]
    fn of(mount_point: &Path) -> anyhow::Result<Self> {
        let disks = Disks::new_with_refreshed_list()?;
        let disk = disks.iter().find(|disk| disk.mount_point() == mount_point);
        let disk = disk.with_context(|| format!("no disk is at {}", mount_point.display()))?;
        let (total, available) = (disk.total_space(), disk.available_space());
        Ok(Self { total, used: total.saturating_sub(available), available })
    }
}

/// `disk_percent`.
pub(super) struct DiskPercent;

impl Collector for DiskPercent {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        Ok(vec![Point::new("disk_percent", Space::of(Path::new(ROOT))?.percent())?])
    }
}

/// `disk_percent_{mount point}` of every disk that has space to fill.
#[derive(Default)]
pub(super) struct EachDisk {
    shortfall: Option<String>,
}

impl Collector for EachDisk {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing())?;
        let mut named = Named::new("disks");
        for disk in disks.iter() {
            let space = Space::of(disk.mount_point()).ok().filter(|space| space.total > 0);
            if let Some(space) = space {
                let mount_point = disk.mount_point().to_string_lossy().into_owned();
                named.add(mount_point, [("disk_percent", space.percent())]);
            }
        }
        let (points, shortfall) = named.points()?;
        self.shortfall = shortfall;
        Ok(points)
    }

    fn shortfall(&self) -> Option<String> {
        self.shortfall.clone()
    }
}

/// Every disk with file system and use.
pub(super) struct DisksSection;

impl Collector for DisksSection {
    type Reading = Map<String, Value>;

    fn collect(&mut self) -> anyhow::Result<Map<String, Value>> {
        let kind = DiskRefreshKind::nothing().with_kind();
        let disks = Disks::new_with_refreshed_list_specifics(kind)?;
        let mut listed: Vec<Value> = disks.iter().filter_map(describe).collect();
        listed.truncate(DISKS_MAX);
        Ok(object(json!({ "disks": listed })))
    }
}

/// `None`: it has no space to fill, or does not tell.
fn describe(disk: &Disk) -> Option<Value> {
    let space = Space::of(disk.mount_point()).ok().filter(|space| space.total > 0)?;
    Some(json!({
        "name": disk.name().to_string_lossy(),
        "mount_point": disk.mount_point().to_string_lossy(),
        "file_system": disk.file_system().to_string_lossy(),
        "kind": disk.kind().to_string(),
        "removable": disk.is_removable(),
        "total_bytes": space.total,
        "used_bytes": space.used,
        "available_bytes": space.available,
        "percent": space.percent(),
    }))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_percentage_is_that_of_df() {
        let df = std::process::Command::new("df").args(["--output=pcent", "/"]).output().unwrap();
        let shown: f64 = String::from_utf8(df.stdout)
            .unwrap()
            .split_whitespace()
            .last()
            .and_then(|word| word.trim_end_matches('%').parse().ok())
            .unwrap();
        let points = DiskPercent.collect().unwrap();
        assert_eq!(points[0].metric.as_str(), "disk_percent");
        // df rounds up.
        assert!((shown - points[0].value).abs() <= 1.5, "df {shown}, ours {}", points[0].value);
    }

    #[test]
    fn the_report_lists_the_root_file_system() {
        let section = DisksSection.collect().unwrap();
        let disks = section["disks"].as_array().unwrap();
        let root = disks.iter().find(|disk| disk["mount_point"] == "/").unwrap();
        let bytes = |field: &str| root[field].as_u64().unwrap();
        assert!(bytes("used_bytes") + bytes("available_bytes") <= bytes("total_bytes"));
        assert!(!root["file_system"].as_str().unwrap().is_empty());
    }
}
