//! The scenarios, in the order of docs/faults.md; a test holds the two together.

mod alerts;
mod backlog;
mod broker_killed;
mod commands;
mod deadly;
mod deadly_to_decode;
mod decoder;
mod disk_full;
mod network;
mod poison;
mod receivers_killed;
mod rolling;
mod shares;
mod sinks_away;
mod stalled;
mod trap;

use anyhow::Result;
use futures::future::{FutureExt as _, LocalBoxFuture};

use crate::findings::Findings;
use crate::settings::Scale;

/// One thing that goes wrong.
pub(crate) struct Scenario {
    /// What `CHAOS_ONLY` calls it.
    pub(crate) name: &'static str,
    /// What is done.
    pub(crate) what: &'static str,
    /// Which figure would have told the operator.
    pub(crate) metric: &'static str,
    /// Which line of a log would have.
    pub(crate) log: &'static str,
    /// Whether it waits most of the time, so that it may run beside others that do.
    pub(crate) waits: bool,
    pub(crate) run: fn(Scale) -> LocalBoxFuture<'static, Result<Findings>>,
}

/// Every scenario.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "receivers-killed",
        what: "kill -9 a random one of 3 receivers 20 times during 500,000 messages of all streams",
        metric: "wegweiser_redelivered_messages_total",
        log: "connected to the broker",
        waits: false,
        run: |scale| receivers_killed::run(scale).boxed_local(),
    },
    Scenario {
        name: "broker-killed",
        what: "kill -9 nats-server 5 times while agents publish (sync_interval 2m)",
        metric: "wegweiser_broker_reconnects_total",
        log: "connection to the broker lost",
        waits: false,
        run: |scale| broker_killed::run(scale).boxed_local(),
    },
    Scenario {
        name: "sinks-away",
        what: "Redis stopped 60 s, Postgres stopped 60 s, Postgres kill -9, Redis at maxmemory, Redis frozen, Postgres at max_connections, Postgres read-only, one after the other under load",
        metric: "wegweiser_sink_retries_total",
        log: "is unavailable",
        waits: false,
        run: |scale| sinks_away::run(scale).boxed_local(),
    },
    Scenario {
        name: "network",
        what: "a cut, 2 s of latency each way, and half-open connections between receivers and each server, under load",
        metric: "wegweiser_broker_reconnects_total, wegweiser_sink_retries_total",
        log: "pull request went silent",
        waits: false,
        run: |scale| network::run(scale).boxed_local(),
    },
    Scenario {
        name: "poison",
        what: "1% poison of 30 kinds among 300,000 messages, against the same without",
        metric: "wegweiser_dead_letters_total",
        log: "parking",
        waits: false,
        run: |scale| poison::run(scale).boxed_local(),
    },
    Scenario {
        name: "deadly-message",
        what: "a message that kills whoever writes it, among others, with 3 replicas",
        metric: "wegweiser_dead_letters_total",
        log: "parking a message that no receiver survived",
        waits: true,
        run: |scale| deadly::run(scale).boxed_local(),
    },
    Scenario {
        name: "deadly-messages",
        what: "two of them, one beside the other",
        metric: "wegweiser_dead_letters_total",
        log: "parking a message that no receiver survived",
        waits: true,
        run: |scale| deadly::run_with_several(scale).boxed_local(),
    },
    Scenario {
        name: "deadly-to-decode",
        what: "a message that kills whoever decodes it, with 3 replicas",
        metric: "wegweiser_dead_letters_total",
        log: "parking a message that no receiver survived",
        waits: true,
        run: |scale| deadly_to_decode::run(scale).boxed_local(),
    },
    Scenario {
        name: "all-dead-at-last-delivery",
        what: "every replica is dead when the last delivery of such a message fails",
        metric: "wegweiser_dead_letters_total",
        log: "parking a message that no receiver survived",
        waits: true,
        run: |scale| deadly::run_with_all_dead(scale).boxed_local(),
    },
    Scenario {
        name: "removed-before-parking",
        what: "likewise, and retention removes the message before a receiver is back",
        metric: "wegweiser_dead_letters_total",
        log: "parking a message that no receiver survived",
        waits: true,
        run: |scale| deadly::run_with_original_removed(scale).boxed_local(),
    },
    Scenario {
        name: "stalled-consumer",
        what: "a consumer paused on the server; the broker's connections half-open",
        metric: "wegweiser_consumer_lag_messages",
        log: "messages wait and none is delivered",
        waits: true,
        run: |scale| stalled::run(scale).boxed_local(),
    },
    Scenario {
        name: "rolling-restart",
        what: "4 replicas restarted by SIGTERM one after the other under load",
        metric: "wegweiser_consumer_lag_messages",
        log: "stopped",
        waits: false,
        run: |scale| rolling::run(scale).boxed_local(),
    },
    Scenario {
        name: "shares",
        what: "1, 2 and 4 replicas on the same durable consumers under load",
        metric: "wegweiser_messages_total",
        log: "connected to the broker",
        waits: false,
        run: |scale| shares::run(scale).boxed_local(),
    },
    Scenario {
        name: "backlog",
        what: "one replica and a backlog of 2,000,000 messages",
        metric: "wegweiser_consumer_lag_messages",
        log: "connected to the broker",
        waits: false,
        run: |scale| backlog::run(scale).boxed_local(),
    },
    Scenario {
        name: "disk-full",
        what: "the disk limit of RESPONSES and MONITORING reached while agents publish, then raised",
        metric: "outbox depth and last error in the agent's own report",
        log: "not confirmed, kept to be sent again (agent)",
        waits: false,
        run: |scale| disk_full::run(scale).boxed_local(),
    },
    Scenario {
        name: "commands",
        what: "10,000 commands to 1,000 devices while receivers, devices, web services and nats-server are killed at random 24 times",
        metric: "wegweiser_messages_total",
        log: "connected to the broker",
        waits: false,
        run: |scale| commands::run(scale).boxed_local(),
    },
    Scenario {
        name: "decoder",
        what: "mutated payloads of every kind into the decoder",
        metric: "wegweiser_dead_letters_total",
        log: "parking",
        waits: false,
        run: |scale| decoder::run(scale).boxed_local(),
    },
    Scenario {
        name: "alerts",
        what: "a real Prometheus with our rules while a device sends poison, a credential nears its end, Redis is stopped and every receiver is stopped",
        metric: "ALERTS",
        log: "parking",
        waits: true,
        run: |scale| alerts::run(scale).boxed_local(),
    },
];
