//! Decode: deliveries into records of a lane, or into the reason why not.

use broker::{Deferred, Delivery};
use protocol::{
    Event, MessageId, MessageKey, MessageNumber, Reject, UnixMillis, decode as decode_payload,
};

use crate::lanes::Lane;

/// A delivery that says something this lane can write.
#[derive(Debug)]
pub(crate) struct Accepted<R> {
    pub(crate) delivery: Delivery,
    pub(crate) record: R,
    /// When the device says that it sent it.
    pub(crate) sent: UnixMillis,
    enveloped: Option<MessageId>,
}

impl<R> Accepted<R> {
    /// The key under which the message counts once.
    pub(crate) fn key(&self) -> MessageKey {
        self.delivery.key(self.enveloped.clone())
    }

    /// Which of the device's messages of `kind` it is, where the device numbered it.
    pub(crate) fn number(&self, kind: &str) -> Option<MessageNumber> {
        self.delivery.number(kind)
    }
}

/// A fetched batch after decoding.
#[derive(Debug)]
pub(crate) struct Batch<R> {
    pub(crate) accepted: Vec<Accepted<R>>,
    pub(crate) rejected: Vec<(Delivery, Reject)>,
    /// Waits in a parcel, beyond its tenant's share.
    pub(crate) deferred: Vec<(Delivery, Deferred)>,
}

/// Sorts deliveries into those that can be written and those that never can.
pub(crate) fn decode<L: Lane>(deliveries: Vec<Delivery>) -> Batch<L::Record> {
    let mut accepted = Vec::with_capacity(deliveries.len());
    let mut rejected = Vec::new();
    for delivery in deliveries {
        match L::decode(&delivery) {
            Ok((record, sent, enveloped)) => {
                accepted.push(Accepted { delivery, record, sent, enveloped });
            }
            Err(reject) => rejected.push((delivery, reject)),
        }
    }
    Batch { accepted, rejected, deferred: Vec::new() }
}

/// A record, when the device says that it sent it, and the id inside its envelope.
pub(crate) type Decoded<R> = (R, UnixMillis, Option<MessageId>);

/// Reads what a device sent.
pub(crate) fn decode_event<L: Lane>(delivery: &Delivery) -> Result<Decoded<L::Record>, Reject> {
    let subject = delivery
        .device_subject()
        .map_err(|error| Reject::UnknownSubject(error.to_string().into()))?;
    let (event, enveloped) = decode_payload(&subject, delivery.payload(), delivery.published())?;
    let sent = sent(&event);
    match L::record(event) {
        Some(record) => Ok((record, sent, enveloped)),
        None => Err(Reject::UnknownSubject(
            format!("stream {} carries no {}", delivery.stream(), subject.kind().name()).into(),
        )),
    }
}

const fn sent(event: &Event) -> UnixMillis {
    match event {
        Event::Metric(point) => point.at,
        Event::Heartbeat(heartbeat) => heartbeat.at,
        Event::Monitoring(report) => report.at,
        Event::Response(response) => response.at,
    }
}
