//! The receiver's path, the same four steps for every stream:
//!
//! ```text
//! fetch ──▶ decode ──▶ write ──▶ settle
//! Delivery  Event      Committed  ack
//!             ├──────▶ Reject ──▶ parked, then terminated
//!             └──────▶ beyond its tenant's share ──▶ put off in a parcel, then ack
//! ```
//!
//! Promises: a message is acknowledged only in exchange for a [`Committed`] or a proof that it is
//! put off, terminated only in exchange for a proof that it is parked. While a sink is ill nothing more is fetched, what is
//! held is kept alive, and no delivery attempt is spent.

use broker::{Broker, Deferred, Delivery};
use protocol::Reject;
use storage::Committed;

use crate::batch::decode;
use crate::fair::FairShare;
use crate::hold::Source;
use crate::lanes::Lane;
use crate::settle::settle;
use crate::traces;

/// What is to become of one message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its effect is durable: acknowledge.
    Done(Committed),
    /// It waits in a parcel, and will have its effect from there: acknowledge.
    Deferred(Deferred),
    /// Its sink is ill and we are stopping: leave it to another receiver.
    Retry,
    /// It can never be applied: park, then terminate.
    Park(Reject),
}

/// A message and what is to become of it.
pub(crate) type Settled = (Delivery, Outcome);

/// Runs one lane until its source ends.
pub(crate) async fn run<L: Lane>(broker: Broker, mut source: Source, mut fair: FairShare, lane: L) {
    while let Some(deliveries) = source.fetch().await {
        let span = traces::batch(source.origin(), &deliveries);
        let steps = async {
            let batch = decode::<L>(deliveries);
            let batch = fair.put_off::<L>(&broker, &mut source, batch).await;
            let outcomes = source.write(&lane, batch).await;
            settle(&broker, &mut source, outcomes).await;
        };
        span.of(steps).await;
    }
}
