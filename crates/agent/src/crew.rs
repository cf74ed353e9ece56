//! The tasks that collect, and what each of them was told.
//!
//! Promises: what a new plan leaves as it is goes on undisturbed, counters and all; what it changes
//! begins anew, or only its interval does.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Outbox, Sender};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::collect::Patient;
use crate::condition::Condition;
use crate::config::CollectorPlan;
use crate::heartbeat::{Beat, Heartbeats};
use crate::monitoring::Reports;
use crate::points::Points;
use crate::settings::Plan;

pub(crate) struct Crew {
    sender: Sender,
    outbox: Outbox,
    condition: Condition,
    tasks: JoinSet<()>,
    collectors: BTreeMap<String, Running>,
    heartbeat: watch::Sender<Beat>,
    monitoring: watch::Sender<Duration>,
}

struct Running {
    plan: CollectorPlan,
    interval: watch::Sender<Duration>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Crew {
    /// Starts all that the plan names.
    pub(crate) fn start(
        plan: &Plan,
        sender: Sender,
        outbox: &Outbox,
        condition: &Condition,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let (heartbeat, beat) = watch::channel(beat_of(plan));
        let heartbeats = Heartbeats::new(sender, outbox.clone(), condition.clone());
        tasks.spawn(heartbeats.report(beat));
        let (monitoring, interval) = watch::channel(plan.monitoring_interval);
        tasks.spawn(Reports::new(sender, outbox.clone(), condition.journal()).report(interval));
        let collectors = BTreeMap::new();
        let (outbox, condition) = (outbox.clone(), condition.clone());
        let mut crew = Self { sender, outbox, condition, tasks, collectors, heartbeat, monitoring };
        crew.follow(plan);
        crew
    }

    /// What every heartbeat says.
    pub(crate) fn beats(&self) -> watch::Receiver<Beat> {
        self.heartbeat.subscribe()
    }

    /// Does from now on what `plan` says; returns what changed.
    pub(crate) fn follow(&mut self, plan: &Plan) -> Vec<String> {
        let mut changed = Vec::new();
        let beat = beat_of(plan);
        if self.heartbeat.send_if_modified(|held| std::mem::replace(held, beat.clone()) != beat) {
            changed.push("heartbeat".to_owned());
        }
        let every = plan.monitoring_interval;
        if self.monitoring.send_if_modified(|held| std::mem::replace(held, every) != every) {
            changed.push("monitoring".to_owned());
        }
        self.collectors.retain(|name, _| {
            let stays = plan.collectors.contains_key(name);
            if !stays {
                changed.push(name.clone());
            }
            stays
        });
        for (name, wanted) in &plan.collectors {
            if self.follow_one(name, wanted) {
                changed.push(name.clone());
            }
        }
        changed
    }

    /// Whether anything changed.
    fn follow_one(&mut self, name: &str, wanted: &CollectorPlan) -> bool {
        if let Some(running) = self.collectors.get_mut(name) {
            if running.plan == *wanted {
                return false;
            }
            if running.plan.what == wanted.what {
                running.plan = wanted.clone();
                running.interval.send_replace(wanted.interval);
                return true;
            }
        }
        // The one before goes first, or it would forget the new one's fare.
        self.collectors.remove(name);
        let (interval, intervals) = watch::channel(wanted.interval);
        let collector =
            Patient::new(name, wanted.what.collector(), self.condition.journal().clone());
        let points = Points { collector, sender: self.sender, outbox: self.outbox.clone() };
        let task = self.tasks.spawn(points.report(intervals));
        self.collectors.insert(name.to_owned(), Running { plan: wanted.clone(), interval, task });
        true
    }

    /// Waits until a task ends that was not told to.
    pub(crate) async fn broken(&mut self) -> anyhow::Error {
        loop {
            match self.tasks.join_next().await {
                // A collector that a new plan leaves out.
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => {
                    return anyhow::Error::from(error).context("a collector's task broke down");
                }
                Some(Ok(())) | None => return anyhow::anyhow!("collecting ended by itself"),
            }
        }
    }

    /// Ends all.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

fn beat_of(plan: &Plan) -> Beat {
    Beat { interval: plan.heartbeat_interval, labels: plan.labels.clone() }
}
