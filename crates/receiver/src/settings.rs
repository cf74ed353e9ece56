//! The receiver's settings.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use broker::BrokerSettings;
use runtime::settings::{Reader, Setting, markdown_table};
use runtime::telemetry;
use storage::{OfflineRule, PostgresSettings, RedisSettings};

const LISTEN: Setting = Setting {
    name: "WEGWEISER_RECEIVER_LISTEN",
    default: Some("127.0.0.1:9464"),
    unit: "an address such as 127.0.0.1:9464, port 0 for any",
    help: "Where /healthz, /readyz and /metrics answer.",
};
const METRICS_BATCH: Setting = Setting {
    name: "WEGWEISER_METRICS_BATCH_MESSAGES",
    default: Some("1000"),
    unit: "messages",
    help: "Most metric points written at one time.",
};
const TENANT_SHARE: Setting = Setting {
    name: "WEGWEISER_TENANT_SHARE_TIMES",
    default: Some("8"),
    unit: "times",
    help: "While metric points wait, a tenant has so many times the points of the middle tenant written at once; its others are written later. 0: no shares.",
};
const RECORDS_BATCH: Setting = Setting {
    name: "WEGWEISER_RECORDS_BATCH_MESSAGES",
    default: Some("500"),
    unit: "messages",
    help: "Most heartbeats, reports or responses written at one time.",
};
const RECORDS_WORKERS: Setting = Setting {
    name: "WEGWEISER_RECORDS_WORKERS",
    default: Some("2"),
    unit: "workers",
    help: "Batches of one stream that are written to Postgres side by side.",
};
const GRACE: Setting = Setting {
    name: "WEGWEISER_GRACE_SECONDS",
    default: Some("10"),
    unit: "seconds",
    help: "Longest time from SIGTERM to exit.",
};
const OFFLINE_AFTER: Setting = Setting {
    name: "WEGWEISER_OFFLINE_AFTER_SECONDS",
    default: Some("120"),
    unit: "seconds",
    help: "Silence after which a device is offline whose agent announces no heartbeat interval.",
};
const MISSED: Setting = Setting {
    name: "WEGWEISER_OFFLINE_MISSED_HEARTBEATS",
    default: Some("3"),
    unit: "heartbeats",
    help: "Missed heartbeats of the announced interval after which a device is offline.",
};
const COMMAND_ANSWERS: Setting = Setting {
    name: "WEGWEISER_COMMAND_ANSWERS_MAX_BYTES",
    default: Some("8388608"),
    unit: "bytes",
    help: "How much of all that a device answers to one command is kept; beyond, only its end is, and the command is marked. Raise it where agents' commands.output_max_bytes is raised.",
};
const SETTINGS: &[Setting] = &[
    LISTEN,
    METRICS_BATCH,
    TENANT_SHARE,
    RECORDS_BATCH,
    RECORDS_WORKERS,
    GRACE,
    OFFLINE_AFTER,
    MISSED,
    COMMAND_ANSWERS,
];

/// Everything that a receiver is told.
#[derive(Debug)]
pub(crate) struct ReceiverSettings {
    pub(crate) broker: BrokerSettings,
    pub(crate) redis: RedisSettings,
    pub(crate) postgres: PostgresSettings,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) metrics_batch_messages: usize,
    pub(crate) tenant_share_times: u32,
    pub(crate) records_batch_messages: usize,
    pub(crate) records_workers: usize,
    pub(crate) grace: Duration,
    pub(crate) offline: OfflineRule,
    pub(crate) command_answers_max_bytes: u64,
}

impl ReceiverSettings {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        const MOST_MESSAGES: usize = 10_000;
        const MOST_WORKERS: usize = 16;
        const MOST_TIMES: u32 = 1_000;
        const LEAST_ANSWERS: u64 = 64 * 1024;
        const MOST_ANSWERS: u64 = 1024 * 1024 * 1024;
        Self {
            broker: BrokerSettings::read(reader, "wegweiser-receiver"),
            redis: RedisSettings::read(reader),
            postgres: PostgresSettings::read(reader),
            listen: reader.parse(&LISTEN),
            metrics_batch_messages: reader.number(&METRICS_BATCH, 1..=MOST_MESSAGES),
            tenant_share_times: reader.number(&TENANT_SHARE, 0..=MOST_TIMES),
            records_batch_messages: reader.number(&RECORDS_BATCH, 1..=MOST_MESSAGES),
            records_workers: reader.number(&RECORDS_WORKERS, 1..=MOST_WORKERS),
            grace: reader.seconds(&GRACE, 1..=600),
            offline: OfflineRule {
                silence: reader.seconds(&OFFLINE_AFTER, 1..=86_400),
                missed_heartbeats: reader.number(&MISSED, 1..=100),
            },
            command_answers_max_bytes: reader
                .number(&COMMAND_ANSWERS, LEAST_ANSWERS..=MOST_ANSWERS),
        }
    }
}

/// Answers `--settings` and `--version`; anything else gets the usage.
#[expect(clippy::print_stdout, reason = "the answer to a person's question")]
pub(crate) fn describe() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--settings") => {
            let slices = [
                broker::SETTINGS,
                storage::REDIS_SETTINGS,
                storage::POSTGRES_SETTINGS,
                SETTINGS,
                telemetry::SETTINGS,
            ];
            println!("{}", markdown_table(&slices.concat()));
            ExitCode::SUCCESS
        }
        Some("--version") => {
            println!("wegweiser-receiver {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some("--help" | "-h") => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        other => {
            complain(&format!("unknown argument {}\n{USAGE}", other.unwrap_or_default()));
            ExitCode::from(runtime::EXIT_USAGE)
        }
    }
}

const USAGE: &str = "wegweiser-receiver takes what agents report from the broker into Redis and Postgres.\n\
    It is configured by the environment alone; see --settings.\n\n\
    usage: wegweiser-receiver [--settings | --version | --help]";

/// The last words of a process that cannot run: logs may not be set up.
#[expect(clippy::print_stderr, reason = "logging is not set up when settings are wrong")]
pub(crate) fn complain(what: &dyn std::fmt::Display) {
    eprintln!("{what}");
}
