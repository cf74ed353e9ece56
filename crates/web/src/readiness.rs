//! Asks Redis, Postgres and the broker in the background whether they are there.
//!
//! Promises: `/readyz` tells what was seen last and never waits itself; what is away is asked again
//! with growing, jittered delays.

pub(crate) mod pipeline;

use std::time::Duration;

use broker::figures::{self, Ends};
use broker::{Broker, BrokerSettings};
use opentelemetry::metrics::Meter;
use runtime::health::{Health, Part};
use runtime::retry::Backoff;
use runtime::shutdown::CancellationToken;
use storage::{Records, Rings, Scope, WalledRecords};
use tokio::task::JoinSet;

use crate::api::SharedBroker;
use pipeline::Asker;

/// Between two questions to what is up.
const INTERVAL: Duration = Duration::from_secs(5);
/// Delays between questions to what is down grow from the first to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LONGEST: Duration = Duration::from_secs(5);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where figures of the connection are shown.
struct Shown {
    meter: Meter,
    ends: Ends,
}

/// A server that we need, and how to ask it.
enum Check {
    Redis(Rings),
    Postgres(Records),
    Broker { settings: BrokerSettings, connection: SharedBroker, asker: Asker, shown: Shown },
}

impl Check {
    async fn ask(&mut self) -> Result<(), String> {
        match self {
            Self::Redis(rings) => {
                rings.server_time().await.map_err(|away| away.to_string())?;
            }
            Self::Postgres(records) => {
                let state = records.migration_state().await.map_err(|away| away.to_string())?;
                if !state.is_current() {
                    return Err("the schema is not up to date; run: wegweiser migrate".to_owned());
                }
            }
            Self::Broker { settings, connection, asker, shown } => match connection.get() {
                Some(broker) if !broker.is_connected() => {
                    let reason = broker.last_error().map(|said| broker::explained(&said));
                    return Err(reason.unwrap_or_else(|| "the connection is lost".to_owned()));
                }
                Some(broker) => {
                    shown.ends.look(settings).await;
                    // How far the pipeline is behind is then unknown; the broker itself is there.
                    if let Err(error) = asker.ask(broker).await {
                        tracing::debug!(%error, "cannot tell how far the pipeline is behind");
                    }
                }
                None => {
                    let broker = Broker::connect(settings).await;
                    let broker = broker.map_err(|error| error.to_string())?;
                    figures::show_connection(&shown.meter, &broker);
                    shown.ends.look(settings).await;
                    // This task alone sets it.
                    let _ = connection.set(broker);
                }
            },
        }
        Ok(())
    }
}

/// Watches each part until `stop`.
pub(crate) fn watch(
    health: &Health,
    rings: Rings,
    walled: &WalledRecords,
    (settings, connection, asker): (BrokerSettings, SharedBroker, Asker),
    meter: Meter,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let records = walled.within(Scope::Nobody);
    storage::show_pool(&meter, &records);
    let ends = Ends::default();
    ends.show(&meter);
    let shown = Shown { meter, ends };
    let checks = [
        ("redis", Check::Redis(rings)),
        ("postgres", Check::Postgres(records)),
        ("broker", Check::Broker { settings, connection, asker, shown }),
    ];
    let mut tasks = JoinSet::new();
    for (name, check) in checks {
        tasks.spawn(watch_one(health.part(name), check, stop.clone()));
    }
    tasks
}

async fn watch_one(part: Part, mut check: Check, stop: CancellationToken) {
    let mut retry = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
    loop {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, check.ask()).await;
        let delay = match answer {
            Ok(Ok(())) => {
                part.up();
                retry.reset();
                INTERVAL
            }
            Ok(Err(reason)) => {
                part.down(&reason);
                retry.next_delay()
            }
            Err(_) => {
                part.down("no answer in time");
                retry.next_delay()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return,
        }
    }
}
