//! What commands wish of the collectors: other intervals, a look at once.
//!
//! Promises: a wish changes nothing on disk and ends with the agent; what a time limit was given
//! ends with that; a configuration that is read again stays under the wishes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::command::{MetricsStart, SetInterval};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::settings::Plan;

/// Wishes that may wait to be granted.
const WAITING_MAX: usize = 8;
/// What is no collector of metrics, and has an interval too.
const REPORTS: [&str; 2] = ["heartbeat", "monitoring"];

/// What a command wishes.
#[derive(Debug)]
pub(crate) enum Wish {
    SetInterval(SetInterval),
    CollectNow,
    StartMetrics(MetricsStart),
    StopMetrics,
}

/// What came of a wish.
pub(crate) type Granted = oneshot::Sender<Value>;

/// Where commands put their wishes; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct WishBox {
    send: mpsc::Sender<(Wish, Granted)>,
    collectors: Arc<Mutex<BTreeSet<String>>>,
}

impl WishBox {
    pub(crate) fn new() -> (Self, mpsc::Receiver<(Wish, Granted)>) {
        let (send, receive) = mpsc::channel(WAITING_MAX);
        (Self { send, collectors: Arc::default() }, receive)
    }

    /// These collectors run now.
    pub(crate) fn note_collectors<'a>(&self, names: impl Iterator<Item = &'a String>) {
        *self.collectors.lock().unwrap_or_else(PoisonError::into_inner) = names.cloned().collect();
    }

    fn collectors(&self) -> BTreeSet<String> {
        self.collectors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// # Errors
    /// No such collector runs here.
    pub(super) fn check_interval(&self, wish: &SetInterval) -> Result<(), String> {
        let running = self.collectors();
        let name = wish.collector.as_str();
        if running.contains(name) || REPORTS.contains(&name) {
            return Ok(());
        }
        let all: Vec<&str> = running.iter().map(String::as_str).chain(REPORTS).collect();
        Err(format!("collector: {name:?} does not run here; give one of {}", all.join(", ")))
    }

    /// # Errors
    /// Nothing here measures one of them.
    pub(super) fn check_metrics(&self, wish: &MetricsStart) -> Result<(), String> {
        let running = self.collectors();
        for (index, metric) in wish.metrics.iter().enumerate() {
            if collector_of(metric).is_none_or(|name| !running.contains(name)) {
                return Err(format!(
                    "metrics[{index}]: nothing that runs here measures {metric:?}"
                ));
            }
        }
        Ok(())
    }

    /// Puts a wish in and waits until it is granted; `None`: the agent ends.
    pub(super) async fn wish(&self, wish: Wish) -> Option<Value> {
        let (grant, granted) = oneshot::channel();
        self.send.send((wish, grant)).await.ok()?;
        granted.await.ok()
    }
}

/// What the collectors do for now that is not in the configuration.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    intervals: BTreeMap<String, Duration>,
    /// Metrics more often, and until when.
    boost: Option<(BTreeSet<String>, Duration, Instant)>,
}

impl Wishes {
    /// The plan with the wishes over it.
    pub(crate) fn over(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        for (name, interval) in &self.intervals {
            match name.as_str() {
                "heartbeat" => plan.heartbeat_interval = *interval,
                "monitoring" => plan.monitoring_interval = *interval,
                name => {
                    if let Some(collector) = plan.collectors.get_mut(name) {
                        collector.interval = *interval;
                    }
                }
            }
        }
        if let Some((names, interval, _)) = &self.boost {
            for (name, collector) in &mut plan.collectors {
                if names.contains(name) {
                    collector.interval = *interval;
                }
            }
        }
        plan
    }

    /// Takes a wish; returns what to answer.
    pub(crate) fn take(&mut self, wish: &Wish, plan: &Plan) -> Value {
        match wish {
            Wish::SetInterval(SetInterval { collector, seconds }) => {
                let interval = Duration::from_secs(u64::from(*seconds));
                self.intervals.insert(collector.clone(), interval);
                json!({ "collector": collector, "seconds": seconds, "until": "the agent restarts" })
            }
            Wish::StartMetrics(MetricsStart { metrics, interval_ms, ttl_s }) => {
                let named = metrics.iter().filter_map(|metric| collector_of(metric));
                let mut names: BTreeSet<String> = named.map(str::to_owned).collect();
                if metrics.is_empty() {
                    names = plan.collectors.keys().cloned().collect();
                }
                let collectors: Vec<String> = names.iter().cloned().collect();
                let interval = Duration::from_millis(u64::from(*interval_ms));
                let until = Instant::now() + Duration::from_secs(u64::from(*ttl_s));
                self.boost = Some((names, interval, until));
                json!({ "collectors": collectors, "interval_ms": interval_ms, "ttl_s": ttl_s })
            }
            Wish::StopMetrics => {
                let ended = self.boost.take().is_some();
                json!({ "ended": ended })
            }
            Wish::CollectNow => json!({ "collectors": plan.collectors.len() }),
        }
    }

    /// When what has a time limit is over.
    pub(crate) fn over_at(&self) -> Option<Instant> {
        self.boost.as_ref().map(|(_, _, until)| *until)
    }

    /// It is over.
    pub(crate) fn end_boost(&mut self) {
        self.boost = None;
    }
}

/// The collector that measures a metric, as far as its name tells.
fn collector_of(metric: &str) -> Option<&'static str> {
    Some(match metric {
        "cpu_percent" => "cpu",
        "memory_percent" => "memory",
        "disk_percent" => "disk",
        "network_bytes_in" | "network_bytes_out" => "network",
        "uptime" => "uptime",
        "swap_percent" => "swap",
        "load_1" | "load_5" | "load_15" => "load",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_and_a_metric_that_are_not_here_are_named() {
        let (wishes, _receive) = WishBox::new();
        wishes.note_collectors(["cpu".to_owned(), "disk".to_owned()].iter());
        let interval = |name: &str| SetInterval { collector: name.to_owned(), seconds: 1 };
        for good in ["cpu", "heartbeat", "monitoring"] {
            assert_eq!(wishes.check_interval(&interval(good)), Ok(()));
        }
        let error = wishes.check_interval(&interval("gpu")).unwrap_err();
        assert!(error.ends_with("give one of cpu, disk, heartbeat, monitoring"), "{error}");
        let metrics = |names: &[&str]| MetricsStart {
            metrics: names.iter().map(|name| (*name).to_owned()).collect(),
            interval_ms: 250,
            ttl_s: 1,
        };
        assert_eq!(wishes.check_metrics(&metrics(&["cpu_percent"])), Ok(()));
        assert_eq!(wishes.check_metrics(&metrics(&[])), Ok(()));
        for absent in ["uptime", "gpu_percent"] {
            assert!(wishes.check_metrics(&metrics(&["cpu_percent", absent])).is_err());
        }
    }
}
