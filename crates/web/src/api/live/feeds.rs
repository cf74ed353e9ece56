//! Where the frames of a feed come from: the broker as messages arrive, and for presence the record
//! that receivers make of it.
//!
//! Promises: a message is read and written once, whoever watches; several that wait together are
//! one frame. What cannot be read is left out here, for the receivers park it with its reason.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use broker::dead_letters::LetterFilter;
use broker::{Broker, Heard, Listening};
use futures::StreamExt as _;
use protocol::{DeviceId, Event, MetricType, TenantId, UnixMillis};
use serde_json::value::RawValue;
use storage::{NewChange, Records, Scope, Unavailable, WalledRecords};
use tokio::time::{Instant, MissedTickBehavior};

use super::frames::{Change, Frame};
use super::hub::{Filter, Topic, Watchers};
use crate::api::SharedBroker;
use crate::api::dead_letters::counts::Counts;
use crate::api::metrics::Points;
use crate::problem::Problem;

/// Messages that become one frame where they wait together.
const MESSAGES_A_FRAME: usize = 64;
/// How often the record of presence is read, once for all who watch.
const PRESENCE_EVERY: Duration = Duration::from_secs(1);
/// Changes that are read at one time; more come the next time.
const CHANGES_MAX: u32 = 1_000;
/// Changes of late that are read again, for one with a smaller number may be committed later.
const CHANGES_OVERLAP: i64 = 200;
/// Shortest time between two counts of dead letters.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// Longest: removals are not heard of.
const COUNT_AT_LEAST_EVERY: Duration = Duration::from_secs(10);

/// What feeds are made of.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) broker: SharedBroker,
    pub(crate) walled: WalledRecords,
}

pub(super) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Opens the feed of a topic: what comes from now on goes to its watchers, as long as it is polled.
pub(super) async fn open(
    sources: &Sources,
    topic: Topic,
    watchers: Watchers,
) -> Result<Running, Problem> {
    let records = sources.walled.within(Scope::AllTenants);
    Ok(match topic {
        Topic::Metrics(tenant, device) => {
            let heard = broker(sources)?.listen_to_metrics(tenant, device).await?;
            Box::pin(metrics(device, heard, watchers))
        }
        Topic::Responses(tenant, device) => {
            let heard = broker(sources)?.listen_to_responses(tenant, device).await?;
            Box::pin(responses(device, heard, watchers))
        }
        Topic::Presence => {
            let newest = records.newest_connectivity_change().await?;
            Box::pin(presence(records, newest, watchers))
        }
        Topic::DeadLetters => {
            let broker = broker(sources)?.clone();
            let heard = broker.listen_to_letters().await?;
            Box::pin(dead_letters(broker, heard, watchers))
        }
    })
}

fn broker(sources: &Sources) -> Result<&Broker, Problem> {
    sources.broker.get().ok_or_else(Problem::no_broker_yet)
}

async fn metrics(device: DeviceId, heard: Listening, watchers: Watchers) {
    let mut together = heard.ready_chunks(MESSAGES_A_FRAME);
    while let Some(messages) = together.next().await {
        let mut points: BTreeMap<MetricType, Points> = BTreeMap::new();
        for (metric, at, value) in messages.iter().filter_map(point) {
            points.entry(metric).or_default().push((at, value));
        }
        if points.is_empty() {
            continue;
        }
        let frame = Frame::Points { device, seed: false, points: &points }.text();
        watchers.send(|_| Some(frame.clone()));
    }
}

fn point(heard: &Heard) -> Option<(MetricType, i64, f64)> {
    let subject = heard.device_subject()?;
    match protocol::decode(&subject, &heard.payload, UnixMillis::now()) {
        Ok((Event::Metric(point), _)) => Some((point.metric, point.at.get(), point.value)),
        _ => None,
    }
}

async fn responses(device: DeviceId, mut heard: Listening, watchers: Watchers) {
    while let Some(message) = heard.next().await {
        let Some(subject) = message.device_subject() else { continue };
        let decoded = protocol::decode(&subject, &message.payload, UnixMillis::now());
        let Ok((Event::Response(response), _)) = decoded else { continue };
        let Ok(event) = serde_json::from_slice::<&RawValue>(&message.payload) else { continue };
        let command = &*response.command_id;
        let frame = Frame::Command { device, command, event, seed: false }.text();
        watchers.send(|filter| match filter {
            Filter::Command(wanted) => (wanted == command).then(|| frame.clone()),
            _ => None,
        });
    }
}

/// The changes that were told of late, so that none is told twice.
#[derive(Default)]
struct Told {
    ids: HashSet<i64>,
    order: VecDeque<i64>,
}

impl Told {
    fn is_news(&mut self, id: i64) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        // As many as one reading may bring again.
        if self.order.len() > (CHANGES_MAX as usize) + 1
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

async fn presence(records: Records, newest: i64, watchers: Watchers) {
    let mut every = tokio::time::interval(PRESENCE_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut newest, mut told) = (newest, Told::default());
    // What was there before anybody watched is no news.
    if let Ok(known) = changes_after(&records, newest).await {
        known.iter().filter(|change| change.id <= newest).for_each(|change| {
            told.is_news(change.id);
        });
    }
    loop {
        every.tick().await;
        let changes = match changes_after(&records, newest).await {
            Ok(changes) => changes,
            Err(error) => {
                tracing::warn!(%error, "cannot tell of presence");
                continue;
            }
        };
        let mut by_tenant: HashMap<Option<TenantId>, Vec<Change>> = HashMap::new();
        for new in changes {
            newest = newest.max(new.id);
            if !told.is_news(new.id) {
                continue;
            }
            let (tenant, device) = (new.tenant, new.device);
            let change =
                Change { tenant, device, online: new.change.online, at: new.change.at.get() };
            by_tenant.entry(Some(tenant)).or_default().push(change);
            by_tenant.entry(None).or_default().push(change);
        }
        let frames: HashMap<Option<TenantId>, Utf8Bytes> = by_tenant
            .iter()
            .map(|(tenant, changes)| (*tenant, Frame::Presence { changes }.text()))
            .collect();
        watchers.send(|filter| match filter {
            Filter::Tenant(tenant) => frames.get(tenant).cloned(),
            _ => None,
        });
    }
}

async fn changes_after(records: &Records, newest: i64) -> Result<Vec<NewChange>, Unavailable> {
    records.connectivity_changes_after(newest - CHANGES_OVERLAP, CHANGES_MAX).await
}

async fn dead_letters(broker: Broker, mut heard: Listening, watchers: Watchers) {
    let mut last: HashMap<Option<TenantId>, Counts> = HashMap::new();
    loop {
        let counted = Instant::now();
        match broker.dead_letter_counts(&LetterFilter::default()).await {
            Ok(counted) => watchers.send(|filter| {
                let Filter::Tenant(tenant) = filter else { return None };
                let name = tenant.map(|tenant| tenant.to_string());
                let own = counted
                    .iter()
                    .filter(|count| name.as_ref().is_none_or(|name| count.tenant == *name));
                let counts = Counts::of(own);
                let news = last.get(tenant) != Some(&counts);
                let frame = news.then(|| Frame::DeadLetters { counts: &counts }.text());
                frame.inspect(|_| drop(last.insert(*tenant, counts)))
            }),
            Err(error) => tracing::warn!(%error, "cannot count dead letters"),
        }
        // Until one more is parked, but neither too soon nor too late.
        let parked = tokio::time::timeout_at(counted + COUNT_AT_LEAST_EVERY, heard.next()).await;
        if matches!(parked, Ok(None)) {
            return;
        }
        tokio::time::sleep_until(counted + COUNT_EVERY).await;
        while let Some(Some(_)) = futures::FutureExt::now_or_never(heard.next()) {}
    }
}
