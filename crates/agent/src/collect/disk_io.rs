//! Bytes read and written since boot, in all and of each whole disk: counters, as the network's.

use super::names::Named;
use super::{Collector, Point, number};

/// `disk_read_bytes`, `disk_written_bytes`, and the same with the disk's name behind.
#[derive(Default)]
pub(super) struct DiskIo {
    shortfall: Option<String>,
}

/// What one disk did since boot, in bytes.
struct Done {
    disk: String,
    read: u64,
    written: u64,
}

impl Collector for DiskIo {
    type Reading = Vec<Point>;

    fn collect(&mut self) -> anyhow::Result<Vec<Point>> {
        let disks = done()?;
        let sum = |part: fn(&Done) -> u64| number(disks.iter().map(part).sum());
        let mut points = vec![
            Point::new("disk_read_bytes", sum(|done| done.read))?,
            Point::new("disk_written_bytes", sum(|done| done.written))?,
        ];
        let mut named = Named::new("disks");
        for Done { disk, read, written } in disks {
            let values =
                [("disk_read_bytes", number(read)), ("disk_written_bytes", number(written))];
            named.add(disk, values);
        }
        let (each, shortfall) = named.points()?;
        points.extend(each);
        self.shortfall = shortfall;
        Ok(points)
    }

    fn shortfall(&self) -> Option<String> {
        self.shortfall.clone()
    }
}

/// Whole disks only: partitions, loops and mappings would count the same bytes again.
#[cfg(target_os = "linux")]
fn done() -> anyhow::Result<Vec<Done>> {
    use anyhow::Context as _;
    let text = std::fs::read_to_string("/proc/diskstats").context("reading /proc/diskstats")?;
    let whole = |disk: &str| std::path::Path::new("/sys/block").join(disk).join("device").exists();
    Ok(text.lines().filter_map(parse).filter(|done| whole(&done.disk)).collect())
}

/// A line of `/proc/diskstats`; its sectors have 512 bytes whatever the disk's have.
#[cfg(target_os = "linux")]
fn parse(line: &str) -> Option<Done> {
    const SECTOR_BYTES: u64 = 512;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let bytes = |index: usize| Some(fields.get(index)?.parse::<u64>().ok()? * SECTOR_BYTES);
    Some(Done { disk: (*fields.get(2)?).to_owned(), read: bytes(5)?, written: bytes(9)? })
}

#[cfg(not(target_os = "linux"))]
fn done() -> anyhow::Result<Vec<Done>> {
    use std::collections::BTreeMap;
    use sysinfo::{DiskRefreshKind, Disks};
    let kind = DiskRefreshKind::nothing().with_io_usage();
    let disks = Disks::new_with_refreshed_list_specifics(kind)?;
    let mut by_name = BTreeMap::new();
    for disk in disks.iter() {
        let usage = disk.usage();
        let name = disk.name().to_string_lossy().into_owned();
        by_name.insert(name, (usage.total_read_bytes, usage.total_written_bytes));
    }
    let done = |(disk, (read, written))| Done { disk, read, written };
    Ok(by_name.into_iter().map(done).collect())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read_in_bytes() {
        let line = "   8       0 sda 59024 16273 4586314 21371 60915 62302 3956848 57541 0 41592";
        let done = parse(line).unwrap();
        assert_eq!((done.disk.as_str(), done.read, done.written), ("sda", 2348192768, 2025906176));
        assert!(parse("   8       0 sda").is_none());
    }

    #[test]
    fn the_sum_is_that_of_the_disks() {
        let points = DiskIo::default().collect().unwrap();
        let sum = |prefix: &str| -> f64 {
            let each = points.iter().filter(|point| point.metric.as_str().starts_with(prefix));
            each.map(|point| point.value).sum()
        };
        assert_eq!(points[0].metric.as_str(), "disk_read_bytes");
        assert_eq!(points[0].value, sum("disk_read_bytes_"));
        assert_eq!(points[1].value, sum("disk_written_bytes_"));
    }
}
