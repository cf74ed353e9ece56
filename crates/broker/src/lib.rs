//! The broker, and the only crate that names async-nats.
//!
//! Connection, publishing, pulling and deliveries for the pipeline; streams and accounts as code
//! for the operator. Refuses: to acknowledge anything by itself.

pub mod accounts;
mod class;
mod clock;
pub mod commands;
mod connection;
mod consumers;
pub mod dead_letters;
mod delivery;
pub mod expiry;
pub mod figures;
mod link;
mod listen;
mod manner;
mod metric_types;
mod outbox;
pub mod plan;
mod publish;
mod pull;
mod refusal;
mod renewal;
mod reread;
mod settings;
mod sign_in;
mod spool;
mod stream_info;
pub mod streams;
mod tls;
mod traces;
mod trouble;

pub use commands::{
    BelievedKeys, BelievedKeysError, CommandSettings, DeviceCommands, Ended, JournalError,
    JournalSettings, Runner, Work,
};
pub use connection::{Broker, BrokerGone, ConnectError};
pub use consumers::{ConsumerState, StoredMessage};
pub use delivery::Delivery;
pub use link::{Link, LinkState};
pub use listen::{Heard, Listening};
pub use manner::Manner;
pub use outbox::{
    Bound, Bounds, HandOverError, KindFigures, Outbox, OutboxFigures, Sender, SpoolStanding,
};
pub use publish::{Deferred, Parked, PublishError, Ticket};
pub use pull::Pull;
pub use refusal::{explained, remedy};
pub use renewal::{RenewalAsked, Renewals};
pub use reread::{Reread, RereadMessage};
pub use settings::{BrokerSettings, NATS_URL, SETTINGS};
pub use spool::SpoolSettings;
pub use stream_info::{StreamState, StreamUsage};
pub use tls::{BrokerTls, ClientCertificate, NATS_CA, NATS_CLIENT_CERT, NATS_CLIENT_KEY};
pub use traces::Operation;
pub use trouble::Trouble;
