//! Messages that kill or hang their receiver, so that none lives to give a verdict.
//!
//! After `max_deliver` deliveries the broker says so once, in an advisory that `ADVISORIES`
//! keeps. From it the original is fetched and parked; where retention has removed it meanwhile, a
//! tombstone is parked, and so it is where retention comes before the broker has said so: then the
//! advisory is that of a removal. No receiver need be alive when the last delivery fails.
//!
//! Before it is parked it is [tried](last_trial) once more, alone: what only died beside
//! another then has its effect. An advisory is taken alone too, so its own second delivery says
//! that this trial was not survived either.

mod last_trial;

use broker::{Broker, BrokerGone, Delivery, Parked, PublishError, StoredMessage};
use protocol::{DeadLetter, Reject, UnixMillis};
use serde::Deserialize;
use storage::Unavailable;

use crate::hold::Source;
use crate::metrics;
use crate::settle::settle_advisory;

pub(crate) use last_trial::LastTrial;
use last_trial::Verdict;

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
    Try(#[from] Unavailable),
    #[error(transparent)]
    Fetch(#[from] BrokerGone),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What was parked, for the figures, and the proof of it.
struct Sentence {
    stream: String,
    reject: Reject,
    proof: Parked,
}

/// Runs until the source ends.
pub(crate) async fn run(broker: Broker, mut source: Source, trial: LastTrial) {
    while let Some(advisories) = source.fetch().await {
        let held: Vec<&Delivery> = advisories.iter().collect();
        for advisory in &advisories {
            let sentence = loop {
                let judged = judge(&broker, &trial, advisory);
                match source.keep_alive_during(&held, false, judged).await {
                    Ok(sentence) => break sentence,
                    Err(error) => {
                        tracing::warn!(%error, "a message that receivers did not survive has to wait");
                    }
                }
                if source.pause(&held).await.is_none() {
                    return;
                }
            };
            if let Some(Sentence { stream, reject, proof }) = &sentence {
                source.figures.dead_letter(stream, reject, proof);
            }
            settle_advisory(advisory, sentence.map(|sentence| sentence.proof)).await;
            source.figures.verdict(metrics::Verdict::Done, 1);
        }
        source.figures.settled(advisories.len());
    }
}

/// Tries what an advisory is about, and parks it unless that was survived.
async fn judge(
    broker: &Broker,
    trial: &LastTrial,
    delivery: &Delivery,
) -> Result<Option<Sentence>, ParkError> {
    let advisory: Advisory = match serde_json::from_slice(delivery.payload()) {
        Ok(advisory) => advisory,
        Err(error) => {
            tracing::error!(%error, sequence = delivery.sequence(), "unreadable advisory");
            return Ok(None);
        }
    };
    if !advisory.is_of_exhausted(broker).await? {
        return Ok(None);
    }
    let untried = delivery.attempt() == 1;
    if untried && is_innocent(broker, trial, &advisory).await? {
        return Ok(None);
    }
    park(broker, advisory).await.map(Some)
}

/// Whether the original, alone, had its effect.
async fn is_innocent(
    broker: &Broker,
    trial: &LastTrial,
    advisory: &Advisory,
) -> Result<bool, ParkError> {
    let (stream, sequence) = (advisory.stream.as_str(), advisory.stream_seq);
    let Some(original) = broker.stored_message(stream, sequence).await? else {
        return Ok(false);
    };
    tracing::warn!(stream, sequence, "several receivers did not survive it; tried alone");
    let message = broker.as_delivered(stream, sequence, advisory.attempts(), original);
    let verdict = trial.of(message).await?;
    if matches!(verdict, Verdict::Written) {
        tracing::info!(stream, sequence, "it only was beside another: its effect is durable");
    }
    Ok(matches!(verdict, Verdict::Written))
}

async fn park(broker: &Broker, advisory: Advisory) -> Result<Sentence, ParkError> {
    let deliveries = advisory.attempts();
    let Advisory { stream, stream_seq: sequence, .. } = advisory;
    let original = broker.stored_message(&stream, sequence).await?;
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
        stream: &stream,
        sequence,
        subject: &original.subject,
        message_id: original.message_id.as_ref().map(protocol::MessageId::as_str),
        reject: &reject,
        attempts: deliveries,
        first_seen: original.published,
        tombstone,
    };
    tracing::error!(
        stream,
        sequence,
        deliveries,
        tombstone,
        "parking a message that no receiver survived"
    );
    let proof = broker.park(&letter, original.payload).await?;
    Ok(Sentence { stream, reject, proof })
}
