//! What a run of the benchmark is told, by the environment.

use std::path::PathBuf;

use runtime::settings::{Reader, Setting};
use serde::Serialize;

const RUNS: Setting = Setting {
    name: "BENCH_RUNS",
    default: Some("5"),
    unit: "runs",
    help: "How often each leg is measured.",
};
const MESSAGES: Setting = Setting {
    name: "BENCH_MESSAGES",
    default: Some("400000"),
    unit: "messages",
    help: "Metric points in the backlog of a run; a quarter as many records.",
};
const DEVICES: Setting = Setting {
    name: "BENCH_DEVICES",
    default: Some("1000"),
    unit: "devices",
    help: "Devices that the backlog comes from, each with six metrics.",
};
const LEGS: Setting = Setting {
    name: "BENCH_LEGS",
    default: Some("pipeline,peers,delay,replicas,growth,curves,seen"),
    unit: "some of pipeline, peers, delay, replicas, growth, curves, seen, with commas between",
    help: "Which legs are measured.",
};
const JSON: Setting = Setting {
    name: "BENCH_JSON",
    default: Some("target/bench.json"),
    unit: "a path",
    help: "Where the figures are written.",
};

const RECEIVER: Setting = Setting {
    name: "BENCH_RECEIVER",
    default: None,
    unit: "a path",
    help: "The receiver to measure, such as another build of it or a profiler's wrapper around it; absent: the one that was built with the benchmark.",
};

/// A backlog holds fewer records than points: a row costs more than a point.
const POINTS_A_RECORD: usize = 4;

/// Legs that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Group {
    /// The pipeline and its floors.
    Pipeline,
    /// Other receivers.
    Peers,
    /// From publish to readable.
    Delay,
    /// Several receivers.
    Replicas,
    /// More devices, longer backlogs.
    Growth,
    /// Other settings than the defaults.
    Curves,
    /// Figures, traces and logs on and off.
    Seen,
}

/// What a run of the benchmark is told.
#[derive(Debug, Serialize)]
pub(crate) struct BenchSettings {
    pub(crate) runs: usize,
    pub(crate) messages: usize,
    pub(crate) devices: usize,
    pub(crate) groups: Vec<Group>,
    #[serde(skip)]
    pub(crate) json: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receiver: Option<PathBuf>,
}

impl BenchSettings {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        Self {
            runs: reader.number(&RUNS, 1..=100),
            messages: reader.number(&MESSAGES, 1_000..=10_000_000),
            devices: reader.number(&DEVICES, 1..=100_000),
            groups: groups(reader),
            json: PathBuf::from(reader.text(&JSON)),
            receiver: reader.path(&RECEIVER),
        }
    }

    pub(crate) const fn records(&self) -> usize {
        self.messages / POINTS_A_RECORD
    }
}

fn groups(reader: &mut Reader) -> Vec<Group> {
    let mut groups = Vec::new();
    for name in reader.text(&LEGS).split(',') {
        groups.push(match name.trim() {
            "pipeline" => Group::Pipeline,
            "peers" => Group::Peers,
            "delay" => Group::Delay,
            "replicas" => Group::Replicas,
            "growth" => Group::Growth,
            "curves" => Group::Curves,
            "seen" => Group::Seen,
            other => {
                reader.mistake(&LEGS, format!("has {other:?}; give {}", LEGS.unit));
                continue;
            }
        });
    }
    groups
}
