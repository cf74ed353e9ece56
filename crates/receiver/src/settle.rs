//! Settle: the only place that acknowledges.
//!
//! Promises: an ack costs a [`Committed`] or a [`Deferred`], a termination costs a proof that the message is parked.

#![expect(clippy::disallowed_methods, reason = "this is the place that acknowledges")]

use broker::{Broker, Deferred, Delivery, Parked};
use futures::future::join_all;
use protocol::{DeadLetter, Reject};
use storage::Committed;

use crate::hold::Source;
use crate::metrics::Verdict;
use crate::pipeline::{Outcome, Settled};
use crate::traces;

/// Dead letters on their way at one time.
const PARKING_IN_FLIGHT: usize = 64;

/// Turns outcomes into acknowledgements; parks first what is to be parked.
pub(crate) async fn settle(broker: &Broker, source: &mut Source, outcomes: Vec<Settled>) {
    let messages = outcomes.len();
    let span = traces::settling(source.origin(), messages);
    span.of(settle_each(broker, source, outcomes)).await;
    source.figures.settled(messages);
}

async fn settle_each(broker: &Broker, source: &mut Source, outcomes: Vec<Settled>) {
    let (mut done, mut deferred, mut retried) = (0, 0, 0);
    let mut to_park = Vec::new();
    for (delivery, outcome) in outcomes {
        match outcome {
            Outcome::Done(committed) => {
                acknowledge(&delivery, Durable::Written(committed)).await;
                done += 1;
            }
            Outcome::Deferred(parcel) => {
                acknowledge(&delivery, Durable::PutOff(parcel)).await;
                deferred += 1;
            }
            Outcome::Park(reject) => to_park.push((delivery, reject)),
            // Another receiver gets it after `ack_wait`.
            Outcome::Retry => retried += 1,
        }
    }
    source.figures.verdict(Verdict::Done, done);
    source.figures.verdict(Verdict::Deferred, deferred);
    source.figures.verdict(Verdict::Retried, retried);
    park_all(broker, source, to_park).await;
}

/// What an ack costs.
enum Durable {
    Written(Committed),
    PutOff(Deferred),
}

async fn acknowledge(delivery: &Delivery, (Durable::Written(_) | Durable::PutOff(_)): Durable) {
    if let Err(error) = delivery.ack().await {
        tracing::warn!(%error, "an ack was not sent, so its message comes again");
    }
}

/// Parks however long `DEAD_LETTERS` refuses; gives up only when stopping.
async fn park_all(broker: &Broker, source: &mut Source, mut to_park: Vec<(Delivery, Reject)>) {
    if let Some((delivery, reject)) = to_park.first() {
        let (messages, stream) = (to_park.len(), delivery.stream());
        tracing::warn!(stream, messages, subject = delivery.subject(), first = %reject, "parking");
    }
    let mut surplus = 0;
    while !to_park.is_empty() {
        let held: Vec<&Delivery> = to_park.iter().map(|(delivery, _)| delivery).collect();
        let proofs = source.keep_alive_during(&held, false, park_each(broker, &to_park)).await;
        let mut unparked = Vec::new();
        for ((delivery, reject), proof) in to_park.into_iter().zip(proofs) {
            match proof {
                Some(proof) => {
                    source.figures.parked(delivery.stream(), &reject, &proof);
                    surplus += usize::from(proof.is_surplus());
                    terminate(&delivery, proof).await;
                }
                None => unparked.push((delivery, reject)),
            }
        }
        to_park = unparked;
        let held: Vec<&Delivery> = to_park.iter().map(|(delivery, _)| delivery).collect();
        if !held.is_empty() && source.pause(&held).await.is_none() {
            source.figures.verdict(Verdict::Retried, to_park.len());
            break;
        }
    }
    if surplus > 0 {
        let remedy =
            "see wegweiser dlq stats; their originals are in their stream as long as it keeps them";
        tracing::warn!(
            messages = surplus,
            remedy,
            "not kept as dead letters: there are as many like them as may be"
        );
    }
}

/// A proof for each that `DEAD_LETTERS` took, in the order given.
async fn park_each(broker: &Broker, to_park: &[(Delivery, Reject)]) -> Vec<Option<Parked>> {
    let mut proofs = Vec::with_capacity(to_park.len());
    for some in to_park.chunks(PARKING_IN_FLIGHT) {
        let mut attempts = Vec::with_capacity(some.len());
        for (delivery, reject) in some {
            attempts.push(park(broker, delivery, reject));
        }
        proofs.extend(join_all(attempts).await);
    }
    proofs
}

async fn park(broker: &Broker, delivery: &Delivery, reject: &Reject) -> Option<Parked> {
    let id = delivery.message_id();
    let letter = DeadLetter {
        stream: delivery.stream(),
        sequence: delivery.sequence(),
        subject: delivery.subject(),
        message_id: id.as_ref().map(protocol::MessageId::as_str),
        reject,
        attempts: delivery.attempt(),
        first_seen: delivery.published(),
        tombstone: false,
    };
    match broker.park(&letter, delivery.payload().clone()).await {
        Ok(proof) => Some(proof),
        Err(error) => {
            tracing::warn!(%error, "a dead letter was not taken, trying again");
            None
        }
    }
}

async fn terminate(delivery: &Delivery, proof: Parked) {
    if let Err(error) = delivery.terminate(proof).await {
        tracing::warn!(%error, "a termination was not sent, so its message comes again");
    }
}

/// An advisory is done with once what it tells of is parked, or needs no parking.
pub(crate) async fn settle_advisory(advisory: &Delivery, _proof: Option<Parked>) {
    if let Err(error) = advisory.ack().await {
        tracing::warn!(%error, "an ack was not sent, so its advisory comes again");
    }
}
