//! The figures, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use devstack::{output, tools};
use serde::Serialize;
use time::OffsetDateTime;

use crate::legs::seen::{OFF, ON};
use crate::measure::{Delay, Leg, Sample, Spread, count, in_sequence};
use crate::settings::BenchSettings;

const MILLION: f64 = 1_000_000.0;

/// Everything that a run of the benchmark found.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    #[serde(with = "time::serde::rfc3339")]
    finished: OffsetDateTime,
    machine: Machine,
    settings: &'a BenchSettings,
    summary: Vec<Summary>,
    ratios: Vec<Ratio>,
    against_peers: Vec<AgainstPeer>,
    /// The rate with all that can be seen from outside, by the rate without, run by run.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_against_unseen: Option<Spread>,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Machine {
    cpu: String,
    cpus: usize,
    servers: Vec<String>,
}

/// One leg over all runs.
#[derive(Serialize)]
struct Summary {
    leg: Leg,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    messages_a_second: Spread,
    /// CPU seconds a million messages by process, medians.
    cpu_seconds_a_million: BTreeMap<&'static str, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_rss_bytes: Option<Spread>,
    /// From publish to readable, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<DelaySpread>,
    /// The part of the machine that others took.
    others_share: Spread,
}

/// Quantiles of the delay over all runs.
#[derive(Serialize)]
struct DelaySpread {
    p50: Spread,
    p99: Spread,
    p999: Spread,
}

/// Our drain against somebody else's, by the medians.
#[derive(Serialize)]
struct AgainstPeer {
    drain: Leg,
    peer: Leg,
    times: f64,
}

/// A drain against its two floors one after the other.
#[derive(Serialize)]
struct Ratio {
    drain: Leg,
    floors: [Leg; 2],
    to_floors_in_sequence: Spread,
}

const PEERS: [(Leg, Leg); 4] = [
    (Leg::MetricsDrain, Leg::FirstGenerationMetrics),
    (Leg::MetricsDrain, Leg::PullConsumerMetrics),
    (Leg::RecordsDrain, Leg::FirstGenerationRecords),
    (Leg::RecordsDrain, Leg::PullConsumerRecords),
];

const RATIOS: [(Leg, [Leg; 2]); 2] = [
    (Leg::MetricsDrain, [Leg::MetricsPullFloor, Leg::RingsFloor]),
    (Leg::RecordsDrain, [Leg::RecordsPullFloor, Leg::RowsFloor]),
];

impl<'a> Report<'a> {
    pub(crate) fn new(settings: &'a BenchSettings, samples: Vec<Sample>) -> Self {
        let machine = Machine::here();
        let mut summary = Vec::new();
        for (leg, variant) in kinds(&samples) {
            let of_kind =
                samples.iter().filter(|sample| sample.leg == leg && sample.variant == variant);
            summary.extend(Summary::of(&of_kind.collect::<Vec<_>>(), &machine));
        }
        let against_peers =
            PEERS.iter().filter_map(|(drain, peer)| against(*drain, *peer, &summary));
        let against_peers = against_peers.collect();
        let ratios =
            RATIOS.iter().filter_map(|(drain, floors)| ratio(*drain, *floors, &samples)).collect();
        let finished = OffsetDateTime::now_utc();
        let seen_against_unseen = seen(&samples);
        Self {
            finished,
            machine,
            settings,
            summary,
            ratios,
            against_peers,
            seen_against_unseen,
            samples,
        }
    }

    pub(crate) fn print(&self) {
        let Self { machine, settings, .. } = self;
        let BenchSettings { runs, messages, devices, .. } = settings;
        let records = settings.records();
        output::line(&format!("\n{}, {} CPUs", machine.cpu, machine.cpus));
        machine.servers.iter().for_each(|server| output::line(server));
        output::line(&format!(
            "{runs} runs, {messages} points, {records} records, {devices} devices\n"
        ));
        output::line(&format!(
            "{:<44}{:>10}{:>21}{:>9}  {}",
            "", "median/s", "lowest to highest", "others", "CPU seconds a million"
        ));
        self.summary.iter().for_each(|summary| output::line(&summary.line()));
        output::line("");
        self.ratios.iter().for_each(|ratio| output::line(&ratio.line()));
        for AgainstPeer { drain, peer, times } in &self.against_peers {
            let (drain, peer) = (letter(*drain), peer.title());
            output::line(&format!("{drain:<34}{times:>10.1} times {peer}"));
        }
        if let Some(Spread { median, lowest, highest }) = self.seen_against_unseen {
            let title = "seen from outside, on by off";
            output::line(&format!("{title:<34}{median:>10.3}, {lowest:.3} to {highest:.3}"));
        }
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        fs::write(path, json).with_context(|| format!("writing {}", path.display()))?;
        output::line(&format!("\nfigures: {}", path.display()));
        Ok(())
    }
}

impl Machine {
    fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        Self {
            cpu: model.unwrap_or_else(|| "unknown CPU".to_owned()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            servers: tools::all().iter().flatten().map(ToString::to_string).collect(),
        }
    }
}

impl Summary {
    fn of(of_leg: &[&Sample], machine: &Machine) -> Option<Self> {
        let (leg, variant) = (of_leg.first()?.leg, of_leg.first()?.variant.clone());
        let mut cpu_seconds_a_million = BTreeMap::new();
        for name in of_leg.first()?.cost.cpu_seconds.keys() {
            let spent = of_leg.iter().filter_map(|sample| {
                Some(sample.cost.cpu_seconds.get(name)? / count(sample.messages) * MILLION)
            });
            cpu_seconds_a_million.insert(*name, Spread::of(spent)?.median);
        }
        let cpus = count(machine.cpus);
        let others = of_leg.iter().map(|s| s.cost.others_cpu_seconds / (s.seconds * cpus));
        let peaks = of_leg.iter().filter_map(|sample| sample.cost.peak_rss_bytes);
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
        let peaks = peaks.map(|bytes| bytes as f64);
        let delays: Vec<Delay> = of_leg.iter().filter_map(|sample| sample.delay).collect();
        Some(Self {
            leg,
            variant,
            delay_ms: DelaySpread::of(&delays),
            messages_a_second: Spread::of(of_leg.iter().map(|sample| sample.rate()))?,
            cpu_seconds_a_million,
            peak_rss_bytes: Spread::of(peaks),
            others_share: Spread::of(others)?,
        })
    }

    fn line(&self) -> String {
        const MIB: f64 = 1024.0 * 1024.0;
        const WORTH_SHOWING_SECONDS: f64 = 0.1;
        let Spread { median, lowest, highest } = self.messages_a_second;
        let between = format!("{lowest:.0} to {highest:.0}");
        let others = self.others_share.median * 100.0;
        let title = format!("{} {}", self.leg.title(), self.variant);
        let mut line = format!("{title:<44}{median:>10.0}{between:>21}{others:>8.0}% ");
        for (name, seconds) in &self.cpu_seconds_a_million {
            if *seconds >= WORTH_SHOWING_SECONDS {
                line.push_str(&format!(" {name} {seconds:.1}"));
            }
        }
        if let Some(peak) = self.peak_rss_bytes {
            line.push_str(&format!("; peak {:.0} MiB", peak.median / MIB));
        }
        if let Some(DelaySpread { p50, p99, p999 }) = &self.delay_ms {
            let [p50, p99, p999] = [p50, p99, p999].map(|spread| spread.median);
            line.push_str(&format!("; p50 {p50:.1}, p99 {p99:.1}, p99.9 {p999:.1} ms"));
        }
        line
    }
}

impl DelaySpread {
    fn of(delays: &[Delay]) -> Option<Self> {
        Some(Self {
            p50: Spread::of(delays.iter().map(|delay| delay.p50_ms))?,
            p99: Spread::of(delays.iter().map(|delay| delay.p99_ms))?,
            p999: Spread::of(delays.iter().map(|delay| delay.p999_ms))?,
        })
    }
}

impl Ratio {
    fn line(&self) -> String {
        let Spread { median, lowest, highest } = self.to_floors_in_sequence;
        let (title, [first, second]) = (self.drain.title(), self.floors.map(letter));
        format!(
            "{title:<34}{median:>10.2} of 1/(1/{first} + 1/{second}), {lowest:.2} to {highest:.2}"
        )
    }
}

/// Legs with their variants, in the order of the legs and then of being measured.
fn kinds(samples: &[Sample]) -> Vec<(Leg, String)> {
    let mut kinds = Vec::new();
    for leg in Leg::ALL {
        for sample in samples.iter().filter(|sample| sample.leg == leg) {
            let kind = (leg, sample.variant.clone());
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    kinds
}

fn against(drain: Leg, peer: Leg, summary: &[Summary]) -> Option<AgainstPeer> {
    let median = |leg: Leg| {
        let of_leg = summary.iter().find(|summary| summary.leg == leg)?;
        Some(of_leg.messages_a_second.median)
    };
    Some(AgainstPeer { drain, peer, times: median(drain)? / median(peer)? })
}

fn letter(leg: Leg) -> &'static str {
    leg.title().split(' ').next().unwrap_or_default()
}

/// Run by run, too.
fn seen(samples: &[Sample]) -> Option<Spread> {
    let of = |variant: &str, run: usize| {
        let mut of_leg = samples.iter().filter(|sample| sample.leg == Leg::Seen);
        of_leg.find(|sample| sample.variant == variant && sample.run == run).map(Sample::rate)
    };
    let runs = samples.iter().map(|sample| sample.run).max()?;
    Spread::of((0..=runs).filter_map(|run| Some(of(ON, run)? / of(OFF, run)?)))
}

/// Run by run, so that what disturbed one run counts on both sides.
fn ratio(drain: Leg, floors: [Leg; 2], samples: &[Sample]) -> Option<Ratio> {
    let rate = |leg: Leg, run: usize| {
        samples.iter().find(|sample| sample.leg == leg && sample.run == run).map(Sample::rate)
    };
    let ratios = samples.iter().filter(|sample| sample.leg == drain).filter_map(|sample| {
        let floor = in_sequence(rate(floors[0], sample.run)?, rate(floors[1], sample.run)?);
        Some(sample.rate() / floor)
    });
    Some(Ratio { drain, floors, to_floors_in_sequence: Spread::of(ratios)? })
}
