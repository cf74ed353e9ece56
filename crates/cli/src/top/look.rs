//! One look at everything, and the rates since the look before.

use std::time::Duration;

use broker::{Broker, ConsumerState, StreamUsage};
use futures::future::join_all;
use protocol::UnixMillis;
use serde::Serialize;
use storage::{PresenceCounts, Records, Rings};
use tokio::time::Instant;

use super::receivers::{self, ReceiverLook};
use crate::environment::{self, INBOUND, PUT_OFF};

/// Longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Streams that no receiver writes anything of.
const OTHER_STREAMS: [&str; 3] = ["COMMANDS", "ADVISORIES", DEAD_LETTERS];
const DEAD_LETTERS: &str = "DEAD_LETTERS";
const ADVISORIES: (&str, &str) = ("ADVISORIES", "crash-poison");

/// Everything at one time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Snapshot {
    /// By this machine's clock, in milliseconds since 1970.
    pub(super) at_ms: UnixMillis,
    pub(super) server_version: String,
    pub(super) streams: Vec<StreamLook>,
    pub(super) consumers: Vec<ConsumerLook>,
    pub(super) receivers: Vec<ReceiverLook>,
    pub(super) sinks: Vec<SinkLook>,
    pub(super) dead_letters: Option<u64>,
    pub(super) devices_online: Option<i64>,
    pub(super) devices_known: Option<i64>,
    /// What did not answer, and why.
    pub(super) errors: Vec<String>,
}

/// How a stream stands.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StreamLook {
    pub(super) stream: &'static str,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) limit_bytes: Option<u64>,
    /// Messages that it has taken since it was made.
    pub(super) taken: u64,
    /// `None`: seen for the first time.
    pub(super) in_per_s: Option<f64>,
    pub(super) copies: usize,
    pub(super) copies_current: usize,
}

/// How a receivers' consumer stands.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ConsumerLook {
    pub(super) stream: &'static str,
    pub(super) consumer: &'static str,
    /// Messages that no receiver has been given yet.
    pub(super) waiting: u64,
    /// Messages that receivers hold.
    pub(super) held: u64,
    /// Of what is not settled, messages that were delivered more than once.
    pub(super) redelivered: u64,
    /// Requests of receivers that wait at the broker.
    pub(super) pulls: u64,
    pub(super) paused: bool,
    /// Age of the oldest message that is not settled.
    pub(super) behind_ms: i64,
    pub(super) deliveries: u64,
    pub(super) out_per_s: Option<f64>,
}

/// How a sink answers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SinkLook {
    pub(super) sink: &'static str,
    pub(super) up: bool,
    pub(super) answer_ms: Option<u64>,
    pub(super) reason: Option<String>,
}

/// Looks, and remembers the look before.
pub(super) struct Looker {
    broker: Broker,
    records: Records,
    rings: Rings,
    receivers: Vec<String>,
    before: Option<(Instant, Snapshot)>,
}

impl Looker {
    /// # Errors
    /// The broker does not let us in, or the settings are wrong.
    pub(super) async fn connect(receivers: Vec<String>) -> anyhow::Result<Self> {
        let (rings, _) = environment::rings()?;
        let records = environment::records()?;
        let broker = environment::broker().await?;
        Ok(Self { broker, records, rings, receivers, before: None })
    }

    pub(super) async fn look(&mut self) -> Snapshot {
        let consumers = INBOUND.iter().map(|(stream, consumer, _)| (*stream, *consumer));
        let consumers: Vec<_> = consumers.chain([PUT_OFF, ADVISORIES]).collect();
        let streams = INBOUND.iter().map(|(stream, _, _)| *stream);
        let streams = streams.chain([PUT_OFF.0]).chain(OTHER_STREAMS);
        let (streams, consumers, receivers, redis, postgres) = tokio::join!(
            join_all(streams.map(|stream| self.stream(stream))),
            join_all(consumers.into_iter().map(|(stream, name)| self.consumer(stream, name))),
            join_all(self.receivers.iter().map(|address| receivers::look(address))),
            timed(self.rings.server_time()),
            timed(self.records.presence_counts()),
        );
        let mut errors: Vec<String> = Vec::new();
        let mut take = |error: String| {
            if !errors.contains(&error) {
                errors.push(error);
            }
        };
        let mut seen = Snapshot {
            at_ms: UnixMillis::now(),
            server_version: self.broker.server_version(),
            streams: kept(streams, &mut take),
            consumers: kept(consumers, &mut take),
            receivers,
            sinks: vec![sink("redis", &redis), sink("postgres", &postgres)],
            dead_letters: None,
            devices_online: None,
            devices_known: None,
            errors: Vec::new(),
        };
        seen.errors = errors;
        let letters = seen.streams.iter().find(|look| look.stream == DEAD_LETTERS);
        seen.dead_letters = letters.map(|look| look.messages);
        if let Ok((PresenceCounts { online, devices }, _)) = postgres {
            (seen.devices_online, seen.devices_known) = (Some(online), Some(devices));
        }
        let now = Instant::now();
        if let Some((at, before)) = &self.before {
            rates(&mut seen, before, now.duration_since(*at));
        }
        self.before = Some((now, seen.clone()));
        seen
    }

    async fn stream(&self, stream: &'static str) -> Result<StreamLook, String> {
        let StreamUsage { messages, bytes, limit_bytes, taken, copies, copies_current } =
            self.asked(self.broker.stream_usage(stream)).await?;
        let in_per_s = None;
        let look = StreamLook {
            stream,
            messages,
            bytes,
            limit_bytes,
            taken,
            in_per_s,
            copies,
            copies_current,
        };
        Ok(look)
    }

    async fn consumer(
        &self,
        stream: &'static str,
        consumer: &'static str,
    ) -> Result<ConsumerLook, String> {
        let state: ConsumerState = self.asked(self.broker.consumer_state(stream, consumer)).await?;
        Ok(ConsumerLook {
            stream,
            consumer,
            waiting: state.num_pending,
            held: state.num_ack_pending,
            redelivered: state.num_redelivered,
            pulls: state.num_waiting,
            paused: state.paused,
            behind_ms: self.asked(self.broker.behind_ms(stream, consumer)).await?,
            deliveries: state.deliveries(),
            out_per_s: None,
        })
    }

    async fn asked<T, E: std::fmt::Display>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        // Without a connection the client would keep the question until there is one.
        if !self.broker.is_connected() {
            return Err("there is no connection to the broker".to_owned());
        }
        within(question).await
    }
}

async fn within<T, E: std::fmt::Display>(
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(ANSWER_WITHIN, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
    }
}

async fn timed<T, E: std::fmt::Display>(
    question: impl Future<Output = Result<T, E>>,
) -> Result<(T, Duration), String> {
    let asked = Instant::now();
    let answer = within(question).await?;
    Ok((answer, asked.elapsed()))
}

fn sink<T>(sink: &'static str, answer: &Result<(T, Duration), String>) -> SinkLook {
    let took = answer.as_ref().ok().map(|(_, took)| took.as_millis());
    SinkLook {
        sink,
        up: answer.is_ok(),
        answer_ms: took.map(|took| u64::try_from(took).unwrap_or(u64::MAX)),
        reason: answer.as_ref().err().cloned(),
    }
}

fn kept<T>(looks: Vec<Result<T, String>>, refused: &mut impl FnMut(String)) -> Vec<T> {
    let mut kept = Vec::with_capacity(looks.len());
    for look in looks {
        match look {
            Ok(look) => kept.push(look),
            Err(error) => refused(error),
        }
    }
    kept
}

/// Sets the rates since the look before.
fn rates(seen: &mut Snapshot, before: &Snapshot, passed: Duration) {
    for look in &mut seen.streams {
        let before = before.streams.iter().find(|before| before.stream == look.stream);
        look.in_per_s = before.map(|before| per_second(look.taken, before.taken, passed));
    }
    for look in &mut seen.consumers {
        let before = before.consumers.iter().find(|before| before.stream == look.stream);
        look.out_per_s =
            before.map(|before| per_second(look.deliveries, before.deliveries, passed));
    }
    for look in &mut seen.receivers {
        let before = before.receivers.iter().find(|before| before.address == look.address);
        look.done_per_s = match (look.done, before.and_then(|before| before.done)) {
            (Some(now), Some(before)) => Some(per_second(now, before, passed)),
            _ => None,
        };
    }
}

/// To a tenth. What was made anew meanwhile counts from 0.
fn per_second(now: u64, before: u64, passed: Duration) -> f64 {
    let more = u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
    (f64::from(more) / passed.as_secs_f64().max(0.001) * 10.0).round() / 10.0
}
