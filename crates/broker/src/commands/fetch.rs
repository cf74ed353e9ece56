//! Fetching: pulls from the device's own consumer, and acknowledges what is noted.
//!
//! Promises: never waits for a command to be carried out, so that a cancel is taken meanwhile, but
//! for one that brings keys: what was sent after it is judged by them, also when all come at once
//! because the device was asleep. Where there is no consumer yet, it is asked for again, seldom, without a word in the log; what
//! the journal cannot note is not acknowledged and comes again.

use std::time::Duration;

use runtime::retry::Backoff;
use tracing::{Instrument as _, Span};

use super::{DeviceCommands, Runner};
use crate::{Broker, Delivery, Operation, Pull, traces};

/// Commands that one request brings at most.
const BATCH: usize = 16;
/// Longest wait for keys to be written down.
const KEYS_WITHIN: Duration = Duration::from_secs(5);
/// First pause after there was no consumer, or the journal could not be written.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest such pause: so long a device's first command waits at most
/// (docs/adr/0022-consumers-at-the-first-command.md).
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

impl<R: Runner> DeviceCommands<R> {
    /// Fetches for ever; drop the future to stop.
    pub async fn fetch(&self, broker: &Broker) {
        let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_LONGEST);
        loop {
            let error = match Pull::of_device(broker, self.0.sender.device, BATCH).await {
                Ok(mut pull) => self.take_from(&mut pull, &mut backoff).await,
                Err(error) => error.to_string(),
            };
            tracing::debug!(error, "no commands can be had now");
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Until the consumer does not answer; returns what was said.
    async fn take_from(&self, pull: &mut Pull, backoff: &mut Backoff) -> String {
        loop {
            match pull.next().await {
                Ok(Some(deliveries)) => {
                    backoff.reset();
                    for delivery in deliveries {
                        self.take(&delivery).await;
                    }
                }
                Ok(None) => return "closed".to_owned(),
                Err(error) => {
                    tracing::debug!(%error, "no commands can be had now");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    async fn take(&self, delivery: &Delivery) {
        let id = delivery.message_id().map(|id| id.to_string()).unwrap_or_default();
        let about = (delivery.subject(), id.as_str(), delivery.payload().len());
        let origin = delivery.trace_origin();
        let span = traces::command(Operation::Process, origin.as_ref(), about);
        self.take_within(delivery, span.clone()).instrument(span).await;
    }

    async fn take_within(&self, delivery: &Delivery, span: Span) {
        self.until_keys_are_seen_to().await;
        let (commands, payload) = (self.clone(), delivery.payload().clone());
        let admit = move || span.in_scope(|| commands.admit(&payload));
        let admitted = tokio::task::spawn_blocking(admit).await;
        let trouble = match admitted {
            Ok(Ok(noted)) => {
                // Not sent: it comes again, and is known.
                let _ = delivery.taken(noted).await;
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        // What follows is not taken before it, or the order would be another.
        let ill = trouble.is_some();
        self.0.counts.trouble(trouble);
        if ill {
            tokio::time::sleep(PAUSE_FIRST).await;
        }
    }

    /// Past the time what follows is judged by the keys that are believed then.
    async fn until_keys_are_seen_to(&self) {
        let seen_to = async {
            loop {
                let told = self.0.keys_seen_to.notified();
                if self.desk().brings_keys.is_none() {
                    return;
                }
                told.await;
            }
        };
        let _ = tokio::time::timeout(KEYS_WITHIN, seen_to).await;
    }
}
