//! Listening along: what devices send and what is parked, as it comes, without taking it from anyone.
//!
//! Plain subscriptions, so nothing is kept and nothing acknowledged: what comes while the
//! connection is away is heard of from the sinks. Promises: once a call returns, the server knows
//! of the subscription; it is made again after each reconnection.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_nats::Subscriber;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use protocol::{DeviceId, DeviceSubject, TenantId};

use crate::{Broker, BrokerGone};

/// A message that was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Where it was sent, as the broker stamped it.
    pub subject: String,
    /// What it says.
    pub payload: Bytes,
}

impl Heard {
    /// Whose it is and what about, where it is a device's.
    #[must_use]
    pub fn device_subject(&self) -> Option<DeviceSubject> {
        self.subject.parse().ok()
    }
}

/// The messages of one subscription, in their order; it ends when the connection is closed for
/// good, and is taken back when dropped.
#[derive(Debug)]
pub struct Listening(Subscriber);

impl Stream for Listening {
    type Item = Heard;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Heard>> {
        self.0.poll_next_unpin(context).map(|message| {
            message.map(|message| Heard {
                subject: message.subject.to_string(),
                payload: message.payload,
            })
        })
    }
}

impl Broker {
    /// Listens to the metric points of a device.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn listen_to_metrics(
        &self,
        tenant: TenantId,
        device: DeviceId,
    ) -> Result<Listening, BrokerGone> {
        self.listen(format!("tenant.{tenant}.demo.system.{device}.*")).await
    }

    /// Listens to what a device answers to commands.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn listen_to_responses(
        &self,
        tenant: TenantId,
        device: DeviceId,
    ) -> Result<Listening, BrokerGone> {
        self.listen(format!("tenant.{tenant}.device.{device}.response")).await
    }

    /// Listens to what is parked, of all streams and tenants.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn listen_to_letters(&self) -> Result<Listening, BrokerGone> {
        self.listen("dead.*.*.*.*".to_owned()).await
    }

    async fn listen(&self, subject: String) -> Result<Listening, BrokerGone> {
        let gone = |error: &dyn std::fmt::Display| BrokerGone(error.to_string());
        if !self.is_connected() {
            return Err(BrokerGone("the connection is lost".to_owned()));
        }
        let subscriber = self.client().subscribe(subject).await.map_err(|error| gone(&error))?;
        // One connection's messages are read in their order, so an answer, whatever it says, means
        // that the subscription was read.
        let asked = self.client().request("$JS.API.STREAM.INFO.METRICS", Bytes::new()).await;
        asked.map_err(|error| gone(&error))?;
        Ok(Listening(subscriber))
    }
}
