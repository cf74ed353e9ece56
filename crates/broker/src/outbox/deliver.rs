//! The loop that empties an outbox: one task, one reply subscription, many messages under way.
//!
//! The reply subject of a publish names kind and number, so that an answer counts even if it comes
//! after its attempt was given up. Not the library's request futures: a request that is never
//! answered stays in the client's table for as long as the connection lives.
//!
//! A kind that is not confirmed pauses, longer each time, and then tries with a single message
//! until one is confirmed; the other kinds go on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::client::PublishErrorKind;
use async_nats::{HeaderMap, Subscriber, header};
use futures::StreamExt as _;
use protocol::{DeviceSubject, MessageId};
use runtime::retry::Backoff;
use runtime::shutdown::CancellationToken;
use runtime::trace;
use tokio::sync::watch;

use super::Outbox;
use super::allowance::Allowance;
use super::answer::Answer;
use super::queue::{Key, Message};
use crate::class::Class;
use crate::{Broker, BrokerGone, traces};

/// How long a stream may take to answer before a message is sent again for the first time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// First pause of a kind that was not confirmed.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Longest pause of a kind that was not confirmed.
const PAUSE_LONGEST: Duration = Duration::from_secs(30);
/// How often to look whether the connection stands again, beside being told.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How one kind fares.
struct Pace {
    backoff: Backoff,
    not_before: Instant,
    /// Why the last attempt failed; `None` while all is well.
    trouble: Option<String>,
}

struct Delivery<'a> {
    outbox: &'a Outbox,
    broker: &'a Broker,
    inbox: String,
    answers: Subscriber,
    connections: watch::Receiver<u64>,
    violations_seen: u64,
    paces: [Pace; Class::COUNT],
    allowance: Allowance,
    /// Set once it was told to stop.
    give_up_at: Option<Instant>,
}

impl Outbox {
    /// Publishes what is handed over until `stop`, then what is left in memory for up to
    /// `flush_within`, unless it is on disk and there is no connection. Returns the number of
    /// messages that remain; they stay, and a further call goes on. One call at a time.
    ///
    /// # Errors
    /// The connection is closed for good; nothing is lost.
    pub async fn deliver(
        &self,
        broker: &Broker,
        stop: &CancellationToken,
        flush_within: Duration,
    ) -> Result<u64, BrokerGone> {
        let mut delivery = Delivery::start(self, broker).await?;
        loop {
            let now = Instant::now();
            let connected = broker.is_connected();
            // Without a connection no answer can come, and none is missed.
            delivery.note_flow(connected);
            if connected {
                delivery.take_overdue_back(now);
                delivery.send_what_may_go(now).await?;
            }
            let stopping = delivery.give_up_at;
            if stopping.is_some_and(|at| at <= now || delivery.may_end(connected)) {
                self.lock().connected = false;
                return Ok(self.figures().depth());
            }
            let wake = tokio::time::Instant::from_std(delivery.wake_at(now, connected));
            tokio::select! {
                answer = delivery.answers.next() => match answer {
                    Some(answer) => delivery.settle(&answer),
                    None => return Err(closed()),
                },
                changed = delivery.connections.changed() => {
                    changed.map_err(|_| closed())?;
                    delivery.send_all_again();
                }
                () = self.work.notified() => {}
                () = tokio::time::sleep_until(wake) => {}
                () = stop.cancelled(), if stopping.is_none() => delivery.stop(flush_within),
            }
        }
    }
}

fn closed() -> BrokerGone {
    BrokerGone("the connection is closed".to_owned())
}

impl<'a> Delivery<'a> {
    async fn start(outbox: &'a Outbox, broker: &'a Broker) -> Result<Self, BrokerGone> {
        let inbox = broker.client().new_inbox();
        let answers = broker
            .client()
            .subscribe(format!("{inbox}.>"))
            .await
            .map_err(|error| BrokerGone(error.to_string()))?;
        let mut connections = broker.connections();
        // The news of the first connection may be on its way still; it is no reconnection.
        let known = connections.wait_for(|count| *count > 0);
        if let Ok(known) = tokio::time::timeout(LOOK_AGAIN, known).await {
            known.map_err(|_| closed())?;
        }
        let now = Instant::now();
        let pace = || Pace {
            backoff: Backoff::new(PAUSE_FIRST, PAUSE_LONGEST),
            not_before: now,
            trouble: None,
        };
        let delivery = Self {
            outbox,
            broker,
            inbox,
            answers,
            connections,
            violations_seen: broker.permission_violations(),
            paces: Class::ALL.map(|_| pace()),
            allowance: Allowance::new(outbox.spool.as_ref().map_or(1, |s| s.messages_per_s), now),
            give_up_at: None,
        };
        // Left by an earlier call: its answers go nowhere.
        delivery.send_all_again();
        Ok(delivery)
    }

    fn stop(&mut self, flush_within: Duration) {
        let now = Instant::now();
        self.give_up_at = Some(now + flush_within);
        for pace in &mut self.paces {
            pace.not_before = now;
        }
    }

    /// Tells memory which kinds the broker takes now.
    fn note_flow(&self, connected: bool) {
        let mut state = self.outbox.lock();
        state.connected = connected;
        for class in Class::ALL {
            state.note_flow(class, connected && self.paces[class as usize].trouble.is_none());
        }
    }

    /// Told to stop: whether waiting any longer would bring nothing.
    fn may_end(&self, connected: bool) -> bool {
        let state = self.outbox.lock();
        state.in_memory() == 0 || (!connected && state.is_on_disk())
    }

    fn send_all_again(&self) {
        let mut state = self.outbox.lock();
        for class in Class::ALL {
            state.queue(class).take_all_back();
        }
    }

    fn take_overdue_back(&mut self, now: Instant) {
        for class in Class::ALL {
            let overdue = self.outbox.lock().queue(class).take_overdue_back(now);
            if overdue {
                let reason = self.why_no_answer();
                self.pause(class, reason);
            }
        }
    }

    /// The server answers a refused publish by an event, not by a reply.
    fn why_no_answer(&mut self) -> String {
        let violations = self.broker.permission_violations();
        if violations == self.violations_seen {
            return "the stream did not answer in time".to_owned();
        }
        self.violations_seen = violations;
        let said = self.broker.last_error().unwrap_or_default();
        let tenant = self.outbox.sender.tenant;
        let device = self.outbox.sender.device;
        format!(
            "the broker does not permit it ({said}); the credentials must be those of device \
             {device} of tenant {tenant}: issue them again"
        )
    }

    async fn send_what_may_go(&mut self, now: Instant) -> Result<(), BrokerGone> {
        while let Some((class, key, message)) = self.next(now).or_else(|| self.next_from_disk(now))
        {
            self.send(class, key, message).await?;
        }
        Ok(())
    }

    fn next(&self, now: Instant) -> Option<(Class, Key, Message)> {
        let mut state = self.outbox.lock();
        if state.in_flight() >= self.outbox.bounds.in_flight_messages {
            return None;
        }
        for class in Class::ALL {
            if !self.may_send(class, now, state.queue(class).in_flight()) {
                continue;
            }
            state.drop_expired(class, now);
            if let Some((key, message)) = state.queue(class).send_next(now, ANSWER_WITHIN) {
                return Some((class, key, message));
            }
        }
        None
    }

    /// What waited through an outage goes behind what is new, at its own rate, and leaves half of
    /// the way free.
    fn next_from_disk(&mut self, now: Instant) -> Option<(Class, Key, Message)> {
        let outbox = self.outbox;
        let mut state = outbox.lock();
        let way_is_free = state.in_flight() < self.outbox.bounds.in_flight_messages / 2;
        if self.give_up_at.is_some() || !way_is_free {
            return None;
        }
        for class in Class::ALL {
            let may_send = self.may_send(class, now, state.queue(class).in_flight());
            if !may_send || state.backlog(class) == 0 {
                continue;
            }
            if !self.allowance.take(now) {
                return None;
            }
            match state.send_from_disk(class, now, ANSWER_WITHIN) {
                Ok(Some((key, message))) => return Some((class, key, message)),
                Ok(None) => {}
                Err(error) => {
                    drop(state);
                    self.pause(class, error.to_string());
                    return None;
                }
            }
        }
        None
    }

    fn may_send(&self, class: Class, now: Instant, in_flight: usize) -> bool {
        let pace = &self.paces[class as usize];
        let one_at_a_time = pace.trouble.is_some();
        pace.not_before <= now && (!one_at_a_time || in_flight == 0)
    }

    async fn send(&mut self, class: Class, key: Key, message: Message) -> Result<(), BrokerGone> {
        let sender = &self.outbox.sender;
        let (session, number) = key;
        let id = MessageId::numbered(session, &message.kind, number);
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_MESSAGE_ID, id.as_str());
        let (template, bytes) = (message.kind.template(), message.payload.len());
        let subject =
            DeviceSubject::new(sender.tenant, sender.device, message.kind).as_published_by_device();
        let begin = || traces::send(template, &subject, id.as_str(), bytes);
        let span = match &message.origin {
            Some(origin) => trace::after(origin, begin),
            None => trace::root(begin),
        };
        traces::tell(&span, &mut headers);
        let mut reply = format!("{}.{}.{number}", self.inbox, class.name());
        if session != sender.session {
            reply.push_str(&format!(".{session}"));
        }
        let client = self.broker.client();
        let sent =
            client.publish_with_reply_and_headers(subject, reply, headers, message.payload).await;
        if span.is_recorded() {
            self.outbox.lock().queue(class).note_span(key, span);
        }
        let Err(error) = sent else { return Ok(()) };
        if error.kind() == PublishErrorKind::MaxPayloadExceeded {
            tracing::error!(kind = class.name(), %error, "message dropped: this broker takes smaller ones only; raise its max_payload");
            self.outbox.lock().drop_too_large(class, key);
            return Ok(());
        }
        Err(BrokerGone(error.to_string()))
    }

    fn settle(&mut self, message: &async_nats::Message) {
        let Some((class, key)) = self.asked(&message.subject) else { return };
        let reason = match Answer::read(message) {
            Answer::Confirmed => {
                if self.outbox.lock().confirm(class, key) {
                    self.resume(class);
                }
                return;
            }
            Answer::NobodyThere => {
                "no stream takes it; run `wegweiser streams apply` and check the tenant's account"
                    .to_owned()
            }
            Answer::Refused(reason) => format!("the stream refuses: {reason}"),
        };
        if self.outbox.lock().queue(class).take_back(key) {
            self.pause(class, reason);
        }
    }

    /// Which message an answer is for.
    fn asked(&self, subject: &str) -> Option<(Class, Key)> {
        let mut parts = subject.strip_prefix(&self.inbox)?.strip_prefix('.')?.split('.');
        let (name, number) = (parts.next()?, parts.next()?);
        let session = match parts.next() {
            Some(session) => session.parse().ok()?,
            None => self.outbox.sender.session,
        };
        let class = Class::ALL.into_iter().find(|class| class.name() == name)?;
        Some((class, (session, number.parse().ok()?)))
    }

    fn pause(&mut self, class: Class, reason: String) {
        let now = Instant::now();
        let pace = &mut self.paces[class as usize];
        // Failures of one burst are one failure.
        if pace.not_before <= now {
            pace.not_before = now + pace.backoff.next_delay();
        }
        if pace.trouble.as_ref() != Some(&reason) {
            tracing::warn!(kind = class.name(), reason, "not confirmed, kept to be sent again");
            let mut state = self.outbox.lock();
            let told: Arc<str> = reason.as_str().into();
            state.last_error = Some(Arc::clone(&told));
            state.troubles[class as usize] = Some(told);
            drop(state);
            pace.trouble = Some(reason);
        }
    }

    fn resume(&mut self, class: Class) {
        let pace = &mut self.paces[class as usize];
        if pace.trouble.take().is_some() {
            pace.backoff.reset();
            pace.not_before = Instant::now();
            self.outbox.lock().troubles[class as usize] = None;
            tracing::info!(kind = class.name(), "confirmed again");
        }
    }

    /// `now` is what sending went by: a pause that ends between the two must not be overlooked.
    fn wake_at(&self, now: Instant, connected: bool) -> Instant {
        let look_again = now + if connected { PAUSE_LONGEST } else { LOOK_AGAIN };
        let mut wake = self.give_up_at.map_or(look_again, |at| at.min(look_again));
        let mut state = self.outbox.lock();
        for class in Class::ALL {
            let not_before = self.paces[class as usize].not_before;
            let backlog = state.backlog(class) > 0 && self.give_up_at.is_none();
            let queue = state.queue(class);
            if (queue.has_waiting() || backlog) && not_before > now {
                wake = wake.min(not_before);
            }
            if backlog && connected && not_before <= now {
                wake = wake.min(now + self.allowance.wait());
            }
            if let Some(due) = queue.next_answer_due().filter(|_| connected) {
                wake = wake.min(due);
            }
        }
        wake
    }
}
