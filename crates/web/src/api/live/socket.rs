//! One live socket, from hello to close.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use protocol::{DeviceId, TenantId, UnixMillis};
use runtime::shutdown::CancellationToken;
use storage::RecordFilter;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, timeout};
use uuid::Uuid;

use super::frames::{Frame, Order, Wanted, raw};
use super::hub::{Filter, Seat, Topic};
use super::{Live, code};
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::dead_letters::counts::letter_counts;
use crate::api::metrics::{types, windows};
use crate::problem::Problem;

/// Frames that wait for a socket; a client that lets more pile up is too slow.
const QUEUE_FRAMES: usize = 256;
/// Longest time for one frame to leave.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Subscriptions of one socket.
const SUBSCRIPTIONS_MAX: usize = 64;
/// Frames of a client within one beat.
const ORDERS_A_BEAT: u32 = 2 * 64;
/// How often a socket is told that it is alive, and how far the pipeline is behind.
const BEAT: Duration = Duration::from_secs(5);
/// Beats between two questions whether the caller is still signed in.
const BEATS_A_CHECK: u32 = 3;
/// A client that says nothing for this long, not even to pings, is gone.
const SILENT_MAX: Duration = Duration::from_secs(45);
/// When a ring is read once more after a subscription: what was on its way when it began is there.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// How far before a lost connection rings are read again, for clocks differ.
const RESEED_BEFORE_MS: i64 = 60_000;
/// Stored events of a command that are sent first.
const EVENTS_MAX: u32 = 200;

/// Why a socket ends.
type End = (u16, &'static str);

struct Socket<'a> {
    api: &'a Api,
    live: &'a Live,
    caller: Caller,
    out: SplitSink<WebSocket, Message>,
    seat: Seat,
    joined: HashMap<Wanted, (Topic, Filter)>,
    /// Rings to read once more: when, whose, and from which time on.
    reseeds: Vec<(Instant, DeviceId, i64)>,
    orders: u32,
    beats: u32,
    heard: Instant,
    /// When the broker was seen to be there, at the beat before and at the last one: that one may
    /// have come between a new connection and word of it.
    broker_seen: [UnixMillis; 2],
}

/// Runs until the client leaves, or may not stay.
pub(super) async fn run(socket: WebSocket, caller: Caller, api: &Api, live: &Live) {
    let (out, incoming) = socket.split();
    let (queue, frames) = mpsc::channel(QUEUE_FRAMES);
    let seat = Seat { socket: Uuid::now_v7(), queue, shed: CancellationToken::new() };
    let (now, socket_id) = (Instant::now(), seat.socket);
    let mut socket = Socket {
        api,
        live,
        caller,
        out,
        seat,
        joined: HashMap::new(),
        reseeds: Vec::new(),
        orders: 0,
        beats: 0,
        heard: now,
        broker_seen: [UnixMillis::now(); 2],
    };
    let end = socket.serve(incoming, frames).await;
    let topics: Vec<Topic> = socket.joined.values().map(|(topic, _)| *topic).collect();
    live.hub.leave_all(socket_id, topics.into_iter()).await;
    if let Some((code, reason)) = end {
        if code == code::TOO_SLOW {
            live.figures.shed.add(1, &[]);
        }
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // The client may be gone, or read nothing; it is over either way.
        let _ = timeout(Duration::from_secs(1), socket.out.send(close)).await;
    }
}

impl Socket<'_> {
    /// `None`: the client left.
    async fn serve(
        &mut self,
        mut incoming: SplitStream<WebSocket>,
        mut frames: mpsc::Receiver<Utf8Bytes>,
    ) -> Option<End> {
        let hello = Frame::Hello {
            now: UnixMillis::now().get(),
            role: self.caller.role,
            tenant: self.caller.scope.tenant(),
        };
        if let Err(end) = self.send(hello.text()).await {
            return Some(end);
        }
        let (stop, shed) = (self.live.stop.clone(), self.seat.shed.clone());
        let mut beat = beats();
        let mut connections = self.api.broker.get().map(broker::Broker::connections);
        loop {
            let next_reseed = self.reseeds.iter().map(|(at, ..)| *at).min();
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => return Some((code::STOPPING, "the service stops")),
                () = shed.cancelled() => return Some((code::TOO_SLOW, "read faster, or less")),
                message = incoming.next() => match message {
                    Some(Ok(message)) => self.message(message).await,
                    _ => return None,
                },
                () = reconnected(&mut connections) => { self.reseed_all(); Ok(()) },
                _ = beat.tick() => self.beat().await,
                () = sleep_until(next_reseed) => self.reseed_due().await,
                frame = frames.recv() => match frame {
                    Some(frame) => self.send(frame).await,
                    None => return None,
                },
            };
            match done {
                Ok(()) => {}
                Err(end) => return Some(end),
            }
        }
    }

    async fn send(&mut self, frame: Utf8Bytes) -> Result<(), End> {
        self.live.figures.frames.add(1, &[]);
        self.put(Message::Text(frame)).await
    }

    async fn put(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_TIMEOUT, self.out.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err((code::TOO_SLOW, "read faster, or less")),
        }
    }

    async fn message(&mut self, message: Message) -> Result<(), End> {
        const BAD: End = (code::BAD_FRAME, "this is no frame of the contract; see docs/api.md");
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(()),
            Message::Binary(_) => return Err(BAD),
        };
        self.orders += 1;
        if self.orders > ORDERS_A_BEAT {
            return Err((code::BAD_FRAME, "too many frames at once"));
        }
        let order = Order::read(&text).ok_or(BAD)?;
        if !order.subscribe {
            if let Some((topic, filter)) = self.joined.remove(&order.wanted) {
                self.live.hub.leave(topic, &filter, self.seat.socket).await;
            }
            return self.send(Frame::Unsubscribed { to: (&order.wanted).into() }.text()).await;
        }
        match self.subscribe(&order).await {
            Ok(()) => self.seed(&order).await,
            Err(problem) => {
                let to = (&order.wanted).into();
                self.send(Frame::Refused { to, problem: &problem }.text()).await
            }
        }
    }

    /// Joins the feed first, so that nothing is missed between it and what is stored.
    async fn subscribe(&mut self, order: &Order) -> Result<(), Problem> {
        if self.joined.contains_key(&order.wanted) {
            return Ok(());
        }
        if self.joined.len() == SUBSCRIPTIONS_MAX {
            return Err(Problem::too_many_subscriptions(SUBSCRIPTIONS_MAX));
        }
        let own = self.caller.scope.tenant();
        let (topic, filter) = match &order.wanted {
            Wanted::Metrics(device) => {
                (Topic::Metrics(self.tenant_of(*device).await?, *device), Filter::All)
            }
            Wanted::Command(device, command) => {
                let topic = Topic::Responses(self.tenant_of(*device).await?, *device);
                (topic, Filter::Command(command.clone()))
            }
            Wanted::Presence(asked) => {
                if let (Some(own), Some(asked)) = (own, *asked)
                    && own != asked
                {
                    return Err(Problem::unknown_tenant(asked));
                }
                (Topic::Presence, Filter::Tenant(own.or(*asked)))
            }
            Wanted::DeadLetters => (Topic::DeadLetters, Filter::Tenant(own)),
        };
        self.live.hub.join(topic, filter.clone(), &self.seat).await?;
        self.joined.insert(order.wanted.clone(), (topic, filter));
        Ok(())
    }

    /// Whose a device is, if it is there for the caller.
    async fn tenant_of(&self, device: DeviceId) -> Result<TenantId, Problem> {
        let found = self.caller.records().fleet_device(device).await?.pop();
        found.map(|(row, _)| row.tenant).ok_or_else(|| Problem::unknown_device(device))
    }

    /// Says that it is subscribed, and what is stored already.
    async fn seed(&mut self, order: &Order) -> Result<(), End> {
        self.send(Frame::Subscribed { to: (&order.wanted).into() }.text()).await?;
        match &order.wanted {
            Wanted::Metrics(device) => {
                let since = order.since.unwrap_or(0);
                let newest = self.send_ring(*device, since).await?;
                self.reseeds.retain(|(_, other, _)| other != device);
                self.reseeds.push((Instant::now() + SETTLED_AFTER, *device, newest.max(since)));
                Ok(())
            }
            Wanted::Command(device, command) => self.send_events(*device, command).await,
            Wanted::DeadLetters => self.send_counts().await,
            Wanted::Presence(_) => Ok(()),
        }
    }

    /// Sends the points of a device that are later than `since`; returns the time of the newest.
    async fn send_ring(&mut self, device: DeviceId, since: i64) -> Result<i64, End> {
        let metrics = types(self.api, device).await;
        let most = self.api.ring_max_points;
        let mut points = match windows(&self.api.rings, device, &metrics, most).await {
            Ok(points) => points,
            Err(problem) => {
                let to = (&Wanted::Metrics(device)).into();
                self.send(Frame::Refused { to, problem: &problem }.text()).await?;
                return Ok(since);
            }
        };
        let mut newest = since;
        for window in points.values_mut() {
            window.retain(|(at, _)| *at > since);
            newest = window.last().map_or(newest, |(at, _)| newest.max(*at));
        }
        points.retain(|_, window| !window.is_empty());
        if !points.is_empty() {
            self.send(Frame::Points { device, seed: true, points: &points }.text()).await?;
        }
        Ok(newest)
    }

    async fn send_events(&mut self, device: DeviceId, command: &str) -> Result<(), End> {
        let filter = RecordFilter {
            device,
            kind: "response",
            data_type: None,
            command: Some(command),
            before: None,
            limit: EVENTS_MAX,
        };
        let stored = match self.caller.records().stored_records(filter).await {
            Ok(stored) => stored,
            Err(away) => {
                let to = (&Wanted::Command(device, command.to_owned())).into();
                return self.send(Frame::Refused { to, problem: &away.into() }.text()).await;
            }
        };
        for record in stored.iter().rev() {
            let Some(event) = raw(&record.payload) else { continue };
            let event = &*event;
            self.send(Frame::Command { device, command, event, seed: true }.text()).await?;
        }
        Ok(())
    }

    async fn send_counts(&mut self) -> Result<(), End> {
        let frame = match letter_counts(self.api, self.caller.scope.tenant()).await {
            Ok(counts) => Frame::DeadLetters { counts: &counts }.text(),
            Err(problem) => {
                let to = (&Wanted::DeadLetters).into();
                Frame::Refused { to, problem: &problem }.text()
            }
        };
        self.send(frame).await
    }

    async fn beat(&mut self) -> Result<(), End> {
        self.orders = 0;
        self.beats += 1;
        if self.api.broker.get().is_some_and(broker::Broker::is_connected) {
            self.broker_seen = [self.broker_seen[1], UnixMillis::now()];
        }
        if self.heard.elapsed() > SILENT_MAX {
            return Err((code::TOO_SLOW, "no answer to pings"));
        }
        if self.beats.is_multiple_of(BEATS_A_CHECK) {
            self.put(Message::Ping(Vec::new().into())).await?;
            // Where Postgres is away nobody can tell; the question is asked again.
            if self.caller.is_refused(self.api).await {
                return Err((code::SIGNED_OUT, "signed out"));
            }
        }
        self.send(Frame::Behind { behind_ms: self.api.behind.known() }.text()).await
    }

    /// The broker was away: what came meanwhile is in the rings, or will be.
    fn reseed_all(&mut self) {
        let since = self.broker_seen[0].get() - RESEED_BEFORE_MS;
        let due = Instant::now() + SETTLED_AFTER;
        self.reseeds.clear();
        for wanted in self.joined.keys() {
            if let Wanted::Metrics(device) = wanted {
                self.reseeds.push((due, *device, since));
            }
        }
    }

    async fn reseed_due(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let Some(place) = self.reseeds.iter().position(|(at, ..)| *at <= now) else {
            return Ok(());
        };
        let (_, device, since) = self.reseeds.swap_remove(place);
        if self.joined.contains_key(&Wanted::Metrics(device)) {
            self.send_ring(device, since).await?;
        }
        Ok(())
    }
}

fn beats() -> Interval {
    let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

async fn reconnected(connections: &mut Option<watch::Receiver<u64>>) {
    let Some(connections) = connections else { return std::future::pending().await };
    if connections.changed().await.is_err() {
        std::future::pending().await
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
