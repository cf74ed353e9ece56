//! Presence: who has fallen silent, by what is in the stream and not by how far behind we are.
//!
//! Every replica sweeps; row locks let exactly one mark a device. While heartbeats wait in the
//! stream the sweep looks no further than they reach, so that a slow or stopped pipeline turns
//! nobody offline. After a connection to the broker is made, nobody is called silent for one
//! whole silence: the broker may have been away, and the devices with it.

use std::time::Duration;

use broker::Broker;
use runtime::shutdown::CancellationToken;
use storage::{OfflineRule, Records};
use tokio::time::Instant;

/// How often the silent are looked for; offline shows at most this much after it is due.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Runs until `stop`.
pub(crate) async fn run(
    broker: Broker,
    records: Records,
    rule: OfflineRule,
    stop: CancellationToken,
) {
    let mut connections = broker.connections();
    let mut connected_at = Instant::now();
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = connections.changed() => match changed {
                Ok(()) => connected_at = Instant::now(),
                Err(_) => return,
            },
            _ = sweep.tick() => {
                if broker.is_connected() && connected_at.elapsed() >= rule.silence {
                    mark_silent(&broker, &records).await;
                }
            }
        }
    }
}

async fn mark_silent(broker: &Broker, records: &Records) {
    let horizon = match broker.applied_until("HEARTBEATS", "connectivity").await {
        Ok(horizon) => horizon,
        Err(error) => return tracing::warn!(%error, "cannot tell who is silent"),
    };
    match records.mark_silent_devices(horizon).await {
        Ok(silent) if silent.is_empty() => {}
        Ok(silent) => {
            let devices = silent.len();
            let example = silent.first().map(|gone| gone.device.to_string());
            tracing::info!(devices, example, "devices went offline");
        }
        Err(error) => tracing::warn!(%error, "cannot mark who is silent"),
    }
}
