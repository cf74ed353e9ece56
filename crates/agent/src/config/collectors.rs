//! `[collectors]`: which run, how often, on what.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use runtime::settings::Reader;

use super::document::Document;
use crate::collect::{Program, What};

/// Most programs of the user's own.
const CUSTOM_MAX: usize = 16;
/// Longest name of one, which is part of its metrics' names.
const CUSTOM_NAME_MAX_BYTES: usize = 24;
const HOUR_MS: u64 = 3_600_000;
const CUSTOM_INTERVAL: Duration = Duration::from_secs(60);
const CUSTOM_TIMEOUT: Duration = Duration::from_secs(5);

/// One collector that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CollectorPlan {
    pub(crate) interval: Duration,
    pub(crate) what: What,
}

/// What there is, whether it is on where nobody says, and its own interval where it has one.
const KNOWN: [(&str, What, bool, Option<u64>); 12] = [
    ("cpu", What::Cpu, true, None),
    ("memory", What::Memory, true, None),
    ("disk", What::Disk, true, None),
    ("network", What::Network, true, None),
    ("uptime", What::Uptime, true, None),
    ("cores", What::Cores, false, Some(10_000)),
    ("load", What::Load, false, Some(10_000)),
    ("swap", What::Swap, false, Some(30_000)),
    ("disk_io", What::DiskIo, false, Some(10_000)),
    ("disks", What::Disks, false, Some(60_000)),
    ("interfaces", What::Interfaces, false, Some(10_000)),
    ("temperatures", What::Temperatures, false, Some(30_000)),
];
/// Those that are told on what.
const LISTED_INTERVAL: Duration = Duration::from_secs(30);

/// Reads the collectors that run, by name.
pub(crate) fn read(
    document: &Document,
    reader: &mut Reader,
    metrics_interval: Duration,
) -> BTreeMap<String, CollectorPlan> {
    let mut plans = BTreeMap::new();
    for (name, what, on, own) in KNOWN {
        let usual = own.map_or(metrics_interval, Duration::from_millis);
        if let Some(interval) = switched(document, reader, name, on, usual) {
            plans.insert(name.to_owned(), CollectorPlan { interval, what });
        }
    }
    type Make = fn(Vec<String>) -> What;
    let listed: [(&str, &str, Make); 2] =
        [("processes", "names", What::Processes), ("units", "units", What::Units)];
    for (name, list, make) in listed {
        let key = format!("collectors.{name}.{list}");
        let texts = document.texts(reader, &key);
        let Some(interval) = switched(document, reader, name, false, LISTED_INTERVAL) else {
            continue;
        };
        if texts.is_empty() || texts.iter().any(|text| text.is_empty() || text.starts_with('-')) {
            let remedy = "name at least one, none of them empty or with - in front";
            reader.mistake_at(document.place(&key), remedy.to_owned());
            continue;
        }
        plans.insert(name.to_owned(), CollectorPlan { interval, what: make(texts) });
    }
    read_custom(document, reader, &mut plans);
    plans
}

/// The interval, if it is on.
fn switched(
    document: &Document,
    reader: &mut Reader,
    name: &str,
    on: bool,
    interval: Duration,
) -> Option<Duration> {
    let on = document.flag(reader, &format!("collectors.{name}.enabled"), on);
    let key = format!("collectors.{name}.interval_ms");
    let interval = document.milliseconds(reader, &key, interval, 250..=HOUR_MS);
    on.then_some(interval)
}

fn read_custom(
    document: &Document,
    reader: &mut Reader,
    plans: &mut BTreeMap<String, CollectorPlan>,
) {
    const PREFIX: &str = "collectors.custom.";
    let names = document.parts_after(PREFIX);
    if names.len() > CUSTOM_MAX {
        let problem = format!("has {} programs; give up to {CUSTOM_MAX}", names.len());
        reader.mistake_at("collectors.custom".to_owned(), problem);
    }
    for name in names.into_iter().take(CUSTOM_MAX) {
        let key = |field: &str| format!("{PREFIX}{name}.{field}");
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.len() > CUSTOM_NAME_MAX_BYTES || !name.bytes().all(plain) {
            let limit = CUSTOM_NAME_MAX_BYTES;
            let problem = format!("{name:?} is no name; give 1 to {limit} characters of [a-z0-9_]");
            reader.mistake_at(PREFIX.to_owned(), problem);
        }
        let path = document.text(reader, &key("program")).map(PathBuf::from);
        let arguments = document.texts(reader, &key("args"));
        let timeout = key("timeout_ms");
        let timeout = document.milliseconds(reader, &timeout, CUSTOM_TIMEOUT, 100..=60_000);
        let full_name = format!("custom.{name}");
        let interval = switched(document, reader, &full_name, true, CUSTOM_INTERVAL);
        let Some(path) = path.filter(|path| path.is_absolute()) else {
            let problem = "is no absolute path; name the program with its whole path".to_owned();
            reader.mistake_at(document.place(&key("program")), problem);
            continue;
        };
        if let Some(interval) = interval {
            let program = Program { path, arguments, timeout };
            plans.insert(full_name, CollectorPlan { interval, what: What::Custom(name, program) });
        }
    }
}
