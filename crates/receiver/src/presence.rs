//! Presence: who has fallen silent, by what is in the stream and not by how far behind we are.
//!
//! Every replica sweeps; row locks let exactly one mark a device. While heartbeats wait in the
//! stream the sweep looks no further than they reach, so that a slow or stopped pipeline turns
//! nobody offline. Silence counts from this replica's connection to the broker at the earliest:
//! before it the broker may have been away, and the devices with it.

use std::time::Duration;

use broker::Broker;
use protocol::UnixMillis;
use runtime::shutdown::CancellationToken;
use storage::Records;

/// How often the silent are looked for; offline shows at most this much after it is due.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Whose settled messages say up to when presence is known.
const STREAM: &str = "HEARTBEATS";
const CONSUMER: &str = "connectivity";

/// Runs until `stop`.
pub(crate) async fn run(broker: Broker, records: Records, stop: CancellationToken) {
    let mut connections = broker.connections();
    // By the broker's clock; `None` until it is asked after a connection.
    let mut reachable_since = None;
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = connections.changed() => match changed {
                Ok(()) => reachable_since = None,
                Err(_) => return,
            },
            _ = sweep.tick() => match reachable_since {
                _ if !broker.is_connected() => {}
                Some(since) => mark_silent(&broker, &records, since).await,
                None => reachable_since = broker_time(&broker).await,
            },
        }
    }
}

async fn broker_time(broker: &Broker) -> Option<UnixMillis> {
    match broker.consumer_state(STREAM, CONSUMER).await {
        Ok(state) => Some(state.server_time()),
        Err(error) => {
            tracing::warn!(%error, "cannot tell who is silent");
            None
        }
    }
}

async fn mark_silent(broker: &Broker, records: &Records, reachable_since: UnixMillis) {
    let horizon = match broker.applied_until(STREAM, CONSUMER).await {
        Ok(horizon) => horizon,
        Err(error) => return tracing::warn!(%error, "cannot tell who is silent"),
    };
    match records.mark_silent_devices(horizon, reachable_since).await {
        Ok(silent) if silent.is_empty() => {}
        Ok(silent) => {
            let devices = silent.len();
            let example = silent.first().map(|gone| gone.device.to_string());
            tracing::info!(devices, example, "devices went offline");
        }
        Err(error) => tracing::warn!(%error, "cannot mark who is silent"),
    }
}
