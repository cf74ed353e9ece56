//! The tasks that collect, and what each of them was told.
//!
//! Promises: what a new plan leaves as it is goes on undisturbed, counters and all; what it changes
//! begins anew, or only its interval does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::{Outbox, Sender};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::collect::Patient;
use crate::command::{Wish, WishBox, Wishes};
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
    /// Asks for a monitoring report at once.
    report_now: Arc<Notify>,
    /// As configured.
    plan: Plan,
    /// What commands wish beside that.
    wishes: Wishes,
    wish_box: WishBox,
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
        wish_box: &WishBox,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let (heartbeat, beat) = watch::channel(beat_of(plan));
        let heartbeats = Heartbeats::new(sender, outbox.clone(), condition.clone());
        tasks.spawn(heartbeats.report(beat));
        let (monitoring, interval) = watch::channel(plan.monitoring_interval);
        let report_now = Arc::<Notify>::default();
        let reports = Reports::new(sender, outbox.clone(), condition.journal());
        tasks.spawn(reports.report(interval, Arc::clone(&report_now)));
        let mut crew = Self {
            sender,
            outbox: outbox.clone(),
            condition: condition.clone(),
            tasks,
            collectors: BTreeMap::new(),
            heartbeat,
            monitoring,
            report_now,
            plan: plan.clone(),
            wishes: Wishes::default(),
            wish_box: wish_box.clone(),
        };
        crew.follow(plan);
        crew
    }

    /// What every heartbeat says.
    pub(crate) fn beats(&self) -> watch::Receiver<Beat> {
        self.heartbeat.subscribe()
    }

    /// Does what a command wishes; returns what to answer.
    pub(crate) fn grant(&mut self, wish: &Wish) -> Value {
        if matches!(wish, Wish::CollectNow) {
            self.look_now();
        }
        let answer = self.wishes.take(wish, &self.plan);
        self.follow(&self.plan.clone());
        answer
    }

    /// When a wish that has a time limit is over; then [`Crew::end_wish`] ends it.
    pub(crate) fn wish_ends_at(&self) -> Option<Instant> {
        self.wishes.over_at()
    }

    /// Does again what it did before that wish.
    pub(crate) fn end_wish(&mut self) {
        self.wishes.end_boost();
        self.follow(&self.plan.clone());
    }

    /// Every task looks and reports at once.
    fn look_now(&self) {
        for collector in self.collectors.values() {
            collector.interval.send_modify(|_| {});
        }
        self.heartbeat.send_modify(|_| {});
        self.report_now.notify_one();
    }

    /// Does from now on what `plan` says, under the wishes; returns what changed.
    pub(crate) fn follow(&mut self, plan: &Plan) -> Vec<String> {
        self.plan = plan.clone();
        let plan = &self.wishes.over(plan);
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
        self.wish_box.note_collectors(self.collectors.keys());
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
