//! Streams as code: the files of `nats/streams` against the broker.
//!
//! `load → plan → apply`. Promises: a directory with one mistake is not used at all, and every
//! mistake is named with file, field, value and remedy; everything that the server or we would
//! refuse is refused before the first change; `plan` after `apply` is empty; two operators may
//! apply at once. Refuses: to touch a stream or consumer that is not marked as managed from
//! these files, and to lose data unless allowed by name ([`Destructive::Allow`]).

mod apply;
mod compare;
mod difference;
mod fields;
mod files;
mod loss;
mod mistakes;
mod order;
mod rules;
mod server;
mod status;
mod subjects;
mod tenant;

use std::path::PathBuf;

use runtime::settings::{Reader, Setting};
use serde_json::{Map, Value};

use crate::Broker;
use crate::plan::Plan;

pub use crate::plan::Destructive;
pub use apply::{Applied, ApplyError, apply};
pub use files::load;
pub use mistakes::{Mistake, Mistakes};
pub use server::ServerError;
pub use status::{ConsumerStatus, Health, Status, StreamStatus, status};
pub use tenant::{
    Settling, TenantMessages, command_consumers, purge_tenant, remove_command_consumers, settling,
    tenant_messages,
};

/// Where the stream files are.
pub const STREAMS_DIR: Setting = Setting {
    name: "WEGWEISER_STREAMS_DIR",
    default: Some("nats/streams"),
    unit: "a path",
    help: "Directory of the stream and consumer files.",
};
/// How many copies a cluster keeps.
pub const STREAM_REPLICAS: Setting = Setting {
    name: "WEGWEISER_STREAM_REPLICAS",
    default: None,
    unit: "a number of copies (3 in a cluster)",
    help: "Copies of each message; replaces num_replicas of every stream file.",
};
/// Every setting of streams as code.
pub const SETTINGS: &[Setting] = &[STREAMS_DIR, STREAM_REPLICAS];

/// Most copies that the server keeps.
const REPLICAS_MAX: u8 = 5;
/// Marks a stream or consumer as managed from the files.
const MANAGED_KEY: &str = "wegweiser.managed";
const MANAGED_VALUE: &str = "true";
/// On a stream: the consumers that the files declared, so that a removed file is noticed without
/// listing the consumers of every device.
const CONSUMERS_KEY: &str = "wegweiser.consumers";

/// Where the files are and what replaces their number of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Directory of the stream and consumer files.
    pub directory: PathBuf,
    /// Copies of each message; `None` leaves what the files say.
    pub replicas: Option<u8>,
}

impl StreamSettings {
    /// Reads [`SETTINGS`].
    pub fn read(reader: &mut Reader) -> Self {
        let replicas = reader.optional(&STREAM_REPLICAS).is_some();
        Self {
            directory: PathBuf::from(reader.text(&STREAMS_DIR)),
            replicas: replicas.then(|| reader.number(&STREAM_REPLICAS, 1..=REPLICAS_MAX)),
        }
    }
}

/// What the files declare; valid as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    streams: Vec<DesiredStream>,
}

impl Desired {
    /// Names of the declared streams, sorted.
    pub fn stream_names(&self) -> impl Iterator<Item = &str> {
        self.streams.iter().map(|stream| stream.name.as_str())
    }
}

/// One declared stream; `config` is what the file states, with our marks in its metadata.
#[derive(Debug, Clone, PartialEq)]
struct DesiredStream {
    name: String,
    config: Map<String, Value>,
    consumers: Vec<DesiredConsumer>,
}

/// One declared consumer.
#[derive(Debug, Clone, PartialEq)]
struct DesiredConsumer {
    name: String,
    config: Map<String, Value>,
}

/// The difference between the files and the broker; changes nothing.
///
/// # Errors
/// The broker does not answer, or may not be asked by this user.
pub async fn plan(broker: &Broker, desired: &Desired) -> Result<Plan, ServerError> {
    let server = server::Server::new(broker.jetstream());
    Ok(difference::between(&server, desired).await?.plan)
}

/// Whether our mark is in the metadata of a stream or consumer.
fn is_managed(config: &Map<String, Value>) -> bool {
    metadata(config, MANAGED_KEY) == Some(MANAGED_VALUE)
}

fn metadata<'a>(config: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    config.get("metadata")?.get(key)?.as_str()
}

/// The words of a list field; empty where there are none.
fn words<'a>(config: &'a Map<String, Value>, field: &str) -> Vec<&'a str> {
    let list = config.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}
