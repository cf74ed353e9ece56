//! The last trial of a message that several receivers did not survive.
//!
//! It may only have been beside another that killed them, or its deliveries were lost on a bad
//! network. So it is decoded and written once more, alone. Promises: nothing is acknowledged here,
//! and a trial ends within [`TRIAL_TIMEOUT`], whatever the message does to its sink.

use std::time::Duration;

use broker::Delivery;
use storage::{Unavailable, Written};

use crate::batch::decode;
use crate::lanes::{Heartbeats, Lane, Metrics, Monitoring, Responses};

/// How long a message may take that is written alone; then it counts as one that hangs.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a message on trial.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Its effect is durable.
    Written,
    /// It is to be parked: it hangs, cannot be applied, or is of a stream without a lane.
    Guilty,
}

/// The lanes, one of each.
#[derive(Clone)]
pub(crate) struct LastTrial {
    pub(crate) metrics: Metrics,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) monitoring: Monitoring,
    pub(crate) responses: Responses,
}

impl LastTrial {
    /// Tries it.
    ///
    /// # Errors
    /// The sink is ill, which says nothing of the message.
    pub(crate) async fn of(&self, message: Delivery) -> Result<Verdict, Unavailable> {
        match message.stream() {
            "METRICS" => tried(&self.metrics, message).await,
            "HEARTBEATS" => tried(&self.heartbeats, message).await,
            "MONITORING" => tried(&self.monitoring, message).await,
            "RESPONSES" => tried(&self.responses, message).await,
            _ => Ok(Verdict::Guilty),
        }
    }
}

async fn tried<L: Lane>(lane: &L, message: Delivery) -> Result<Verdict, Unavailable> {
    let batch = decode::<L>(vec![message]);
    // An earlier delivery may have written it.
    let repeated = true;
    let write = lane.write(&batch.accepted, repeated);
    let Ok(written) = tokio::time::timeout(TRIAL_TIMEOUT, write).await else {
        return Ok(Verdict::Guilty);
    };
    let written: Vec<Written> = written?;
    match written.into_iter().next() {
        Some(Ok(_)) => Ok(Verdict::Written),
        Some(Err(_)) | None => Ok(Verdict::Guilty),
    }
}
