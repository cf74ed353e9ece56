//! Renewing credentials over a device's own connection.
//!
//! Promises: the broker says who asks, for a device's role permits its own subject alone and its
//! tenant's account puts its UUID on it; any number of services answer, each question once.
//! Refuses to know what is renewed; whoever answers checks that.

use std::sync::Arc;

use async_nats::{Client, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use protocol::{DeviceId, DeviceSubject, Kind, TenantId};

use crate::{Broker, BrokerGone};

/// Every device's subject.
const SUBJECT: &str = "tenant.*.device.*.renew";
/// Services of this name share the questions.
const QUEUE: &str = "renew";

/// The questions that come to this service.
#[derive(Debug)]
pub struct Renewals {
    questions: Subscriber,
    client: Arc<Client>,
}

/// One question.
#[derive(Debug)]
pub struct RenewalAsked {
    /// Whose device asks, as the broker says.
    pub tenant: TenantId,
    /// Which, as the broker says.
    pub device: DeviceId,
    /// What it says itself.
    pub payload: Bytes,
    reply: Subject,
    client: Arc<Client>,
}

impl Broker {
    /// Listens for devices that renew their credentials, again after each reconnection.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn renewals(&self) -> Result<Renewals, BrokerGone> {
        let client = self.client().clone();
        let questions = client.queue_subscribe(SUBJECT, QUEUE.to_owned()).await;
        let questions = questions.map_err(|error| BrokerGone(error.to_string()))?;
        Ok(Renewals { questions, client })
    }

    /// Asks for new credentials as the device that this connection is of.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn ask_renewal(
        &self,
        tenant: TenantId,
        device: DeviceId,
        question: Vec<u8>,
    ) -> Result<Bytes, BrokerGone> {
        let subject = DeviceSubject::new(tenant, device, Kind::Renewal).to_string();
        let answer = self.client().request(subject, question.into()).await;
        answer.map(|answer| answer.payload).map_err(|error| BrokerGone(error.to_string()))
    }
}

impl Renewals {
    /// The next question; `None` when the connection was closed for good.
    pub async fn next(&mut self) -> Option<RenewalAsked> {
        loop {
            let message = self.questions.next().await?;
            let Some(reply) = message.reply else { continue };
            // The subscription lets nothing else through but ids that are none.
            let Ok(subject) = message.subject.parse::<DeviceSubject>() else { continue };
            return Some(RenewalAsked {
                tenant: subject.tenant(),
                device: subject.device(),
                payload: message.payload,
                reply,
                client: self.client.clone(),
            });
        }
    }
}

impl RenewalAsked {
    /// Answers it.
    ///
    /// # Errors
    /// The connection was closed for good.
    pub async fn answer(self, answer: Vec<u8>) -> Result<(), BrokerGone> {
        let sent = self.client.publish(self.reply, answer.into()).await;
        sent.map_err(|error| BrokerGone(error.to_string()))
    }
}
