//! Messages that kill or hang their receiver, so that none lives to give a verdict.
//!
//! After `max_deliver` deliveries the broker says so once, in an advisory that `ADVISORIES`
//! keeps. From it the original is fetched and parked; where retention has removed it meanwhile, a
//! tombstone is parked, and so it is where retention comes before the broker has said so: then the
//! advisory is that of a removal. No receiver need be alive when the last delivery fails.

use broker::{Broker, BrokerGone, Delivery, Parked, PublishError, StoredMessage};
use protocol::{DeadLetter, Reject, UnixMillis};
use serde::Deserialize;

use crate::hold::Source;
use crate::metrics::{Figures, Verdict};
use crate::settle::settle_advisory;

/// What the broker says when a message's last permitted delivery has failed.
#[derive(Debug, Deserialize)]
struct Advisory {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    consumer: String,
    #[serde(default)]
    stream_seq: u64,
    #[serde(default)]
    deliveries: u64,
    /// Only the broker's own terminations have one.
    #[serde(default)]
    reason: String,
}

const MAX_DELIVERIES: &str = "io.nats.jetstream.advisory.v1.max_deliver";
const TERMINATED: &str = "io.nats.jetstream.advisory.v1.terminated";

impl Advisory {
    /// Whether it tells of a message whose permitted deliveries are used up. Terminations without
    /// a reason are our own, made after parking; what is removed earlier is held by a receiver
    /// still, or expired as any other that was not delivered.
    async fn is_of_exhausted(&self, broker: &Broker) -> Result<bool, BrokerGone> {
        match self.kind.as_str() {
            MAX_DELIVERIES => Ok(true),
            TERMINATED if !self.reason.is_empty() => {
                let permitted = broker.permitted_deliveries(&self.stream, &self.consumer).await?;
                Ok(permitted.is_some_and(|permitted| self.attempts() >= permitted))
            }
            _ => Ok(false),
        }
    }

    /// The advisory of a termination counts repetitions, the other one deliveries.
    fn attempts(&self) -> u64 {
        self.deliveries.saturating_add(u64::from(self.kind == TERMINATED))
    }
}

#[derive(Debug, thiserror::Error)]
enum ParkError {
    #[error(transparent)]
    Fetch(#[from] BrokerGone),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Runs until the source ends.
pub(crate) async fn run(broker: Broker, mut source: Source) {
    while let Some(advisories) = source.fetch().await {
        for advisory in &advisories {
            while let Err(error) = park_original(&broker, &source.figures, advisory).await {
                tracing::warn!(%error, "an undeliverable message is not parked yet, trying again");
                let held: Vec<&Delivery> = advisories.iter().collect();
                if source.pause(&held).await.is_none() {
                    return;
                }
            }
            source.figures.verdict(Verdict::Done, 1);
        }
        source.figures.settled(advisories.len());
    }
}

async fn park_original(
    broker: &Broker,
    figures: &Figures,
    delivery: &Delivery,
) -> Result<(), ParkError> {
    let proof = match serde_json::from_slice::<Advisory>(delivery.payload()) {
        Ok(advisory) if advisory.is_of_exhausted(broker).await? => {
            Some(park(broker, figures, &advisory).await?)
        }
        Ok(_) => None,
        Err(error) => {
            tracing::error!(%error, sequence = delivery.sequence(), "unreadable advisory");
            None
        }
    };
    settle_advisory(delivery, proof).await;
    Ok(())
}

async fn park(
    broker: &Broker,
    figures: &Figures,
    advisory: &Advisory,
) -> Result<Parked, ParkError> {
    let (Advisory { stream, stream_seq, .. }, deliveries) = (advisory, advisory.attempts());
    let original = broker.stored_message(stream, *stream_seq).await?;
    let tombstone = original.is_none();
    let original = original.unwrap_or_else(|| StoredMessage {
        subject: "unknown".to_owned(),
        message_id: None,
        published: UnixMillis::new(0),
        payload: Default::default(),
    });
    let reject = Reject::DeliveriesExhausted(
        format!(
            "{deliveries} deliveries ended without a verdict; it may kill or hang its receiver"
        )
        .into(),
    );
    let letter = DeadLetter {
        stream,
        sequence: *stream_seq,
        subject: &original.subject,
        message_id: original.message_id.as_ref().map(protocol::MessageId::as_str),
        reject: &reject,
        attempts: deliveries,
        first_seen: original.published,
        tombstone,
    };
    tracing::error!(
        stream,
        sequence = stream_seq,
        deliveries,
        tombstone,
        "parking a message that no receiver survived"
    );
    let parked = broker.park(&letter, original.payload).await?;
    figures.dead_letter(stream, &reject, &parked);
    Ok(parked)
}
