//! Commands into their stream, and out of it again.
//!
//! Promises: a command counts as sent when the stream has confirmed it, under its own id, so that
//! it is there once; a device's commands go one after the other, so that none overtakes another;
//! a device has its consumer before its first command. Refuses: to touch a consumer that is
//! another tenant's.

use std::collections::{BTreeMap, HashMap};
use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    ConsumerCreateStrictErrorKind, LastRawMessageErrorKind, RawMessageErrorKind,
};
use futures::StreamExt as _;
use protocol::{CommandId, DeviceId, DeviceSubject, Kind, Posting, TenantId, UnixMillis};
use runtime::trace::{self, TracedSpan as _};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{Broker, BrokerGone, Operation, traces};

/// Where commands are.
const STREAM: &str = "COMMANDS";
/// Devices that are sent to at one time.
const DEVICES_IN_FLIGHT: usize = 256;
/// How long a device may keep a command before it is given it again; its journal takes it at once.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Commands that a device may hold without having taken them into its journal.
const ACK_PENDING_MAX: i64 = 64;
/// How long a consumer is believed to be there.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// Consumers that are remembered; they are looked up again beyond.
const KNOWN_MAX: usize = 100_000;
/// How long the stream keeps a command of the first generation, so that whoever finds its sender
/// dead can see that it was sent. It is removed before, as soon as that is noted.
const KEPT_FOR_A_LOOK: Duration = Duration::from_secs(600);

/// Sends commands; cheap to clone.
#[derive(Clone, Debug)]
pub struct CommandSender {
    broker: Broker,
    /// Devices whose consumer was there, and when that was seen.
    known: Arc<Mutex<HashMap<DeviceId, Instant>>>,
}

fn gone(error: &dyn std::error::Error) -> BrokerGone {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    BrokerGone(format!("{error}{source}"))
}

impl CommandSender {
    /// Sends over this connection, of a user who may.
    #[must_use]
    pub fn new(broker: Broker) -> Self {
        Self { broker, known: Arc::default() }
    }

    /// Sends commands into the stream, those of one device in the order given; answers with those
    /// that it has, and where. After one that was not taken, its device is sent no other.
    pub async fn send(&self, postings: Vec<Posting>) -> Vec<(CommandId, u64)> {
        let devices = by_device(postings).into_values();
        let sent = devices.map(|of_one| self.send_to_one(of_one));
        let sent = futures::stream::iter(sent).buffer_unordered(DEVICES_IN_FLIGHT);
        sent.collect::<Vec<_>>().await.concat()
    }

    async fn send_to_one(&self, postings: Vec<Posting>) -> Vec<(CommandId, u64)> {
        let mut sent = Vec::with_capacity(postings.len());
        for posting in &postings {
            let Posting { tenant, device, command, .. } = *posting;
            let sequence = async {
                self.ensure_consumer(tenant, device).await?;
                self.publish(posting, left(posting.expires)).await
            };
            match sequence.await {
                Ok(sequence) => sent.push((command, sequence)),
                Err(error) => {
                    tracing::warn!(%error, %tenant, %device, %command, "a command was not sent, trying again");
                    break;
                }
            }
        }
        sent
    }

    /// Sends commands to agents of the first generation, which hear them as they are published;
    /// answers with those that were, now or by somebody who died.
    pub async fn send_first_generation(&self, postings: Vec<Posting>) -> Vec<(CommandId, u64)> {
        let sent = postings.into_iter().map(async |posting| {
            match self.send_once(&posting).await {
                Ok(sequence) => Some((posting.command, sequence)),
                Err(error) => {
                    let Posting { tenant, device, command, .. } = posting;
                    tracing::warn!(%error, %tenant, %device, %command, "a command was not sent, trying again");
                    None
                }
            }
        });
        let sent = futures::stream::iter(sent).buffer_unordered(DEVICES_IN_FLIGHT);
        sent.filter_map(std::future::ready).collect().await
    }

    async fn send_once(&self, posting: &Posting) -> Result<u64, BrokerGone> {
        if posting.again
            && let Some(sequence) = self.newest_is(posting).await?
        {
            return Ok(sequence);
        }
        self.publish(posting, KEPT_FOR_A_LOOK.min(left(posting.expires))).await
    }

    /// Where the device's newest command is, if it is this one.
    async fn newest_is(&self, posting: &Posting) -> Result<Option<u64>, BrokerGone> {
        let stream = self.broker.stream_handle(STREAM).await?;
        match stream.get_last_raw_message_by_subject(&subject(posting.tenant, posting.device)).await
        {
            Ok(newest) => {
                let id = newest.headers.get(async_nats::header::NATS_MESSAGE_ID);
                let is_this = id.is_some_and(|id| id.as_str() == posting.command.to_string());
                Ok(is_this.then_some(newest.sequence))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(gone(&error)),
        }
    }

    async fn publish(&self, posting: &Posting, keep: Duration) -> Result<u64, BrokerGone> {
        let (to, id) = (subject(posting.tenant, posting.device), posting.command.to_string());
        let origin = posting.traceparent.as_deref().and_then(trace::origin);
        let about = (to.as_str(), id.as_str(), posting.message.len());
        let span = traces::command(Operation::Send, origin.as_ref(), about);
        let sent = self.publish_to(&to, &id, posting, keep).instrument(span.clone()).await;
        if let Err(error) = &sent {
            span.failed("unconfirmed", error);
        }
        sent
    }

    async fn publish_to(
        &self,
        to: &str,
        id: &str,
        posting: &Posting,
        keep: Duration,
    ) -> Result<u64, BrokerGone> {
        let payload = posting.message.clone().into();
        let mut message = PublishMessage::build().message_id(id).ttl(keep).payload(payload);
        // Where this process traces nothing, whoever ordered it may.
        let origin = trace::current_traceparent().or_else(|| posting.traceparent.clone());
        if let Some(origin) = origin {
            message = message.header(trace::TRACEPARENT, origin.as_str());
        }
        let ack = self.broker.jetstream().send_publish(to.to_owned(), message).await;
        let ack = ack.map_err(|error| gone(&error))?.into_future().await;
        Ok(ack.map_err(|error| gone(&error))?.sequence)
    }

    /// Removes what agents of the first generation have heard: nobody acknowledges it.
    pub async fn remove_heard(&self, sent: &[(CommandId, u64)]) {
        for (command, sequence) in sent {
            if let Err(error) = self.remove(*sequence).await {
                // It goes by itself a little later.
                tracing::debug!(%error, %command, "a command that was heard stays for a while");
            }
        }
    }

    /// Takes a command out of the stream that its device was not given; `false`: it was, or may
    /// have been.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn take_out(&self, device: DeviceId, sequence: u64) -> Result<bool, BrokerGone> {
        if self.was_given(device, sequence).await? || !self.remove(sequence).await? {
            return Ok(false);
        }
        // Asked once more: from here on it is given to nobody.
        Ok(!self.was_given(device, sequence).await?)
    }

    async fn was_given(&self, device: DeviceId, sequence: u64) -> Result<bool, BrokerGone> {
        let stream = self.broker.stream_handle(STREAM).await?;
        let consumer = stream.consumer_info(device.to_string()).await;
        let consumer = consumer.map_err(|error| gone(&error))?;
        Ok(consumer.delivered.stream_sequence >= sequence)
    }

    /// `false`: it was not there.
    async fn remove(&self, sequence: u64) -> Result<bool, BrokerGone> {
        let stream = self.broker.stream_handle(STREAM).await?;
        let Err(refused) = stream.delete_message(sequence).await else { return Ok(true) };
        // The server has several words for a message that is gone: look.
        match stream.get_raw_message(sequence).await {
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
            _ => Err(gone(&refused)),
        }
    }

    /// Makes the consumer that a device pulls its commands from, where there is none.
    ///
    /// # Errors
    /// The broker does not answer, or there is one of another tenant's device.
    pub async fn ensure_consumer(
        &self,
        tenant: TenantId,
        device: DeviceId,
    ) -> Result<(), BrokerGone> {
        if self.is_known(device) {
            return Ok(());
        }
        let stream = self.broker.stream_handle(STREAM).await?;
        let wanted = consumer(tenant, device);
        let filter = wanted.filter_subject.clone();
        match stream.create_consumer_strict(wanted).await {
            Ok(_) => {}
            // Made by another version, perhaps: it is good as long as it is this device's.
            Err(error) if exists(&error.kind()) => {
                let there = stream.consumer_info(device.to_string()).await;
                let there = there.map_err(|error| gone(&error))?.config.filter_subject;
                if there != filter {
                    return Err(BrokerGone(format!(
                        "consumer {device} of {STREAM} is for {there}; give one of the two devices \
                         another id"
                    )));
                }
            }
            Err(error) => return Err(gone(&error)),
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(device, Instant::now());
        Ok(())
    }

    fn is_known(&self, device: DeviceId) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&device).is_some_and(|seen| seen.elapsed() < KNOWN_FOR)
    }
}

fn consumer(tenant: TenantId, device: DeviceId) -> pull::Config {
    pull::Config {
        durable_name: Some(device.to_string()),
        description: Some("Commands of one device.".to_owned()),
        filter_subject: subject(tenant, device),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        // A device that was given a command and died is given it again, however often.
        max_deliver: -1,
        max_ack_pending: ACK_PENDING_MAX,
        ..Default::default()
    }
}

fn exists(kind: &ConsumerCreateStrictErrorKind) -> bool {
    match kind {
        ConsumerCreateStrictErrorKind::AlreadyExists => true,
        ConsumerCreateStrictErrorKind::JetStream(error) => {
            [ErrorCode::CONSUMER_ALREADY_EXISTS, ErrorCode::CONSUMER_NAME_EXIST]
                .contains(&error.error_code())
        }
        _ => false,
    }
}

fn subject(tenant: TenantId, device: DeviceId) -> String {
    DeviceSubject::new(tenant, device, Kind::Command).to_string()
}

/// What is left until then: whole seconds, and one at least, since the server knows no less.
fn left(expires: UnixMillis) -> Duration {
    let milliseconds = u64::try_from(expires.since(UnixMillis::now())).unwrap_or_default();
    Duration::from_secs(milliseconds.div_ceil(1_000).max(1))
}

fn by_device(postings: Vec<Posting>) -> BTreeMap<DeviceId, Vec<Posting>> {
    let mut devices: BTreeMap<DeviceId, Vec<Posting>> = BTreeMap::new();
    for posting in postings {
        devices.entry(posting.device).or_default().push(posting);
    }
    devices
}
