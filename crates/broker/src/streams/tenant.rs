//! A tenant's messages in the streams: counted, waited for, and purged.
//!
//! Promises: every stream of the account is looked at, by subject, also one that no file declares;
//! messages of other tenants are not touched. Refuses: to purge by itself what a receiver still
//! holds; ask [`settling`] first.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{DeviceId, TenantId};

use super::server::{Server, ServerError};
use crate::{Broker, BrokerGone};

/// Whose consumers are named by devices.
const COMMANDS: &str = "COMMANDS";

/// What streams hold of one tenant.
#[derive(Clone, Debug, Default)]
pub struct TenantMessages {
    /// Messages by stream; every stream is named, also with none.
    pub by_stream: BTreeMap<String, u64>,
    /// Devices that their subjects name.
    pub devices: BTreeSet<DeviceId>,
}

/// Subjects of a tenant's messages, and of its dead letters.
fn filters(tenant: TenantId) -> [String; 2] {
    [format!("tenant.{tenant}.>"), format!("dead.*.*.{tenant}.*")]
}

/// Counts a tenant's messages.
///
/// # Errors
/// The broker does not answer, or may not be asked by this user.
pub async fn tenant_messages(
    broker: &Broker,
    tenant: TenantId,
) -> Result<TenantMessages, ServerError> {
    let server = Server::new(broker.jetstream());
    let mut found = TenantMessages::default();
    for stream in server.streams().await? {
        let mut messages = 0;
        for filter in filters(tenant) {
            for (subject, count) in server.subjects(&stream.name, &filter).await? {
                messages += count;
                found.devices.extend(devices(&subject, tenant));
            }
        }
        found.by_stream.insert(stream.name, messages);
    }
    Ok(found)
}

/// Removes a tenant's messages from every stream.
///
/// # Errors
/// As [`tenant_messages`]; a repetition does the rest.
pub async fn purge_tenant(broker: &Broker, tenant: TenantId) -> Result<(), ServerError> {
    let server = Server::new(broker.jetstream());
    for stream in server.streams().await? {
        for filter in filters(tenant) {
            server.purge(&stream.name, &filter).await?;
        }
    }
    Ok(())
}

/// Which of these devices have a consumer for their commands.
///
/// # Errors
/// As [`tenant_messages`].
pub async fn command_consumers(
    broker: &Broker,
    devices: &BTreeSet<DeviceId>,
) -> Result<Vec<DeviceId>, ServerError> {
    let names = Server::new(broker.jetstream()).consumer_names(COMMANDS).await?;
    let named = names.iter().filter_map(|name| name.parse().ok());
    Ok(named.filter(|device| devices.contains(device)).collect())
}

/// Removes devices' consumers for their commands.
///
/// # Errors
/// As [`tenant_messages`]; a repetition does the rest.
pub async fn remove_command_consumers(
    broker: &Broker,
    devices: &[DeviceId],
) -> Result<(), ServerError> {
    let server = Server::new(broker.jetstream());
    for device in devices {
        server.remove_consumer(COMMANDS, &device.to_string()).await?;
    }
    Ok(())
}

/// How far receivers are with what a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Every message up to the sequence is settled.
    Settled,
    /// Receivers have some, or will be given some.
    Under,
    /// Some are left, and nobody asks for them now.
    Nobody,
}

/// How far receivers are with the messages up to `sequence`.
///
/// # Errors
/// The broker does not answer, or there is no such stream or consumer.
pub async fn settling(
    broker: &Broker,
    stream: &str,
    consumer: &str,
    sequence: u64,
) -> Result<Settling, BrokerGone> {
    let state = broker.consumer_state(stream, consumer).await?;
    if state.is_drained() || state.settled_until() >= sequence {
        return Ok(Settling::Settled);
    }
    let nobody = state.num_ack_pending == 0 && state.num_waiting == 0;
    Ok(if nobody { Settling::Nobody } else { Settling::Under })
}

fn devices(subject: &str, tenant: TenantId) -> impl Iterator<Item = DeviceId> {
    let tokens = subject.split('.').filter_map(|token| token.parse().ok());
    tokens.filter(move |device: &DeviceId| device.as_uuid() != tenant.as_uuid())
}
