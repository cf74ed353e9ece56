//! The receiver's path, the same four steps for every stream:
//!
//! ```text
//! fetch ──▶ decode ──▶ write ──▶ settle
//! Delivery  Event      Committed  ack
//!             └──────▶ Reject ──▶ parked, then terminated
//! ```
//!
//! Promises: a message is acknowledged only in exchange for a [`Committed`], terminated only in
//! exchange for a proof that it is parked. While a sink is ill nothing more is fetched, what is
//! held is kept alive, and no delivery attempt is spent.

use broker::{Broker, Delivery};
use protocol::Reject;
use storage::Committed;

use crate::batch::decode;
use crate::hold::Source;
use crate::lanes::Lane;
use crate::settle::settle;

/// What is to become of one message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its effect is durable: acknowledge.
    Done(Committed),
    /// Its sink is ill and we are stopping: leave it to another receiver.
    Retry,
    /// It can never be applied: park, then terminate.
    Park(Reject),
}

/// A message and what is to become of it.
pub(crate) type Settled = (Delivery, Outcome);

/// Runs one lane until its source ends.
pub(crate) async fn run<L: Lane>(broker: Broker, mut source: Source, lane: L) {
    while let Some(deliveries) = source.fetch().await {
        let batch = decode::<L>(deliveries);
        let outcomes = source.write(&lane, batch).await;
        settle(&broker, &mut source, outcomes).await;
    }
}
