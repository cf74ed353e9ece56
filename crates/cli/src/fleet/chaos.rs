//! What goes wrong with a simulated device on purpose: lost connections, repetitions, messages that
//! nobody can read, a wrong clock.
//!
//! Promises: all of it is drawn from the device's seed, and counted in the ledger. What is sent
//! beside the outbox has ids of its own and is counted when the stream has it; a repetition has the
//! id of what it repeats, and so no effect.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use broker::{Broker, Sender};
use bytes::Bytes;
use protocol::{DeviceSubject, Kind, MessageId, UnixMillis};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::curves::Machine;
use crate::span::span;

/// Messages of one device that may wait to be sent beside its outbox; more are left out.
const EXTRA_MAX_MESSAGES: usize = 16;

/// How much goes wrong.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Knobs {
    /// Cut each device's connection after about this long, again and again.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    disconnect_every: Option<Duration>,
    /// Messages that are sent once more under their id, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    duplicates: f64,
    /// Metric messages that nobody can read, beside the good ones, in percent of those.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    malformed: f64,
    /// Set each device's clock wrong by up to this, ahead or behind.
    #[arg(long, value_name = "SPAN", value_parser = span)]
    clock_skew: Option<Duration>,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| format!("{text:?} is no percentage; give a number from 0 to 100"))
}

/// A message on its way beside the outbox.
struct Extra {
    kind: Kind,
    id: MessageId,
    payload: Bytes,
    malformed: bool,
}

/// One device's misfortunes.
#[derive(Debug)]
pub(super) struct Chaos {
    knobs: Knobs,
    sender: Sender,
    machine: Machine,
    drawn: AtomicU64,
    send: mpsc::Sender<Extra>,
    receive: Mutex<Option<mpsc::Receiver<Extra>>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    disconnects: AtomicU64,
    duplicates: AtomicU64,
    malformed: AtomicU64,
    malformed_confirmed: AtomicU64,
}

impl Chaos {
    pub(super) fn new(knobs: Knobs, sender: Sender, machine: Machine) -> Self {
        let (send, receive) = mpsc::channel(EXTRA_MAX_MESSAGES);
        let receive = Mutex::new(Some(receive));
        let drawn = AtomicU64::new(0);
        Self { knobs, sender, machine, drawn, send, receive, counts: Counts::default() }
    }

    /// The time by the device's clock.
    pub(super) fn now(&self) -> UnixMillis {
        UnixMillis::new(UnixMillis::now().get() + self.clock_offset_ms())
    }

    fn clock_offset_ms(&self) -> i64 {
        let Some(most) = self.knobs.clock_skew else { return 0 };
        let ahead = most.mul_f64(self.machine.share(60));
        let offset = i64::try_from(ahead.as_millis()).unwrap_or_default();
        if self.machine.share(61) < 0.5 { -offset } else { offset }
    }

    /// Sends a message that the outbox has taken once more, where it is drawn.
    pub(super) fn repeat(&self, kind: &Kind, number: u64, payload: &Bytes) {
        if self.draw() * 100.0 < self.knobs.duplicates {
            let id = MessageId::numbered(self.sender.session, kind, number);
            let (kind, payload) = (kind.clone(), payload.clone());
            self.beside(Extra { kind, id, payload, malformed: false }, &self.counts.duplicates);
        }
    }

    /// Sends a message that nobody can read, where it is drawn.
    pub(super) fn mangle(&self, kind: &Kind) {
        if self.draw() * 100.0 >= self.knobs.malformed {
            return;
        }
        let number = self.drawn.load(Ordering::Relaxed);
        // Not numbered as our messages are: the books know nothing of it.
        let Ok(id) = format!("{}.malformed.{number}", self.sender.session).parse() else { return };
        let payload = match number % 4 {
            0 => Bytes::from_static(b"{\"value\": 1"),
            1 => Bytes::from_static(b"{\"value\": \"many\"}"),
            2 => Bytes::from_static(b"{\"timestamp_ms\": 1}"),
            _ => Bytes::from_static(
                b"{\"value\": 1, \"device_uuid\": \"00000000-0000-4000-8000-000000000000\"}",
            ),
        };
        let kind = kind.clone();
        self.beside(Extra { kind, id, payload, malformed: true }, &self.counts.malformed);
    }

    fn beside(&self, extra: Extra, count: &AtomicU64) {
        if self.send.try_send(extra).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Does what was drawn, for ever.
    pub(super) async fn reign(&self, broker: &Broker) {
        tokio::join!(self.cut(broker), self.send_extras(broker));
    }

    async fn cut(&self, broker: &Broker) {
        let Some(every) = self.knobs.disconnect_every else { return };
        loop {
            tokio::time::sleep(every.mul_f64(0.5 + self.draw())).await;
            broker.cut().await;
            self.counts.disconnects.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn send_extras(&self, broker: &Broker) {
        let taken = self.receive.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receive) = taken else { return };
        let Sender { tenant, device, .. } = self.sender;
        while let Some(Extra { kind, id, payload, malformed }) = receive.recv().await {
            let subject = DeviceSubject::new(tenant, device, kind).as_published_by_device();
            let Ok(ticket) = broker.publish(subject, &id, payload).await else { continue };
            if ticket.confirmed().await.is_ok() && malformed {
                self.counts.malformed_confirmed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// From 0 up to 1, another each time.
    fn draw(&self) -> f64 {
        self.machine.share(1_000_000 + self.drawn.fetch_add(1, Ordering::Relaxed))
    }

    /// For the ledger.
    pub(super) fn entry(&self) -> Value {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        json!({
            "clock_offset_ms": self.clock_offset_ms(),
            "disconnects": of(&self.counts.disconnects),
            "duplicates": of(&self.counts.duplicates),
            "malformed": of(&self.counts.malformed),
            "malformed_confirmed": of(&self.counts.malformed_confirmed),
        })
    }
}
