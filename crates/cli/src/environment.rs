//! What a verb needs from the environment, and the connections that follow from it.
//!
//! Promises: a verb reads only the settings that it needs, and tells all mistakes in them at once.

use std::path::Path;

use anyhow::Context as _;
use broker::accounts::KEYS_DIR;
use broker::{Broker, BrokerSettings};
use identity::KeyDir;
use runtime::logs;
use runtime::settings::{Mistakes, Reader, Setting, markdown_table};
use runtime::telemetry::{self, Telemetry, TelemetrySettings};
use storage::{PostgresSettings, Records, RedisSettings, Rings};

/// Name of our connections, as the broker shows it.
const CONNECTION_NAME: &str = "wegweiser";

/// Streams that agents publish into, the durable consumer that writes each, and the kind of its
/// messages.
pub(crate) const INBOUND: [(&str, &str, &str); 4] = [
    ("METRICS", "rings", "metric"),
    ("HEARTBEATS", "connectivity", "heartbeat"),
    ("MONITORING", "records", "monitoring"),
    ("RESPONSES", "records", "response"),
];

/// The stream in which metric points wait that are put off, and the durable consumer that writes it.
pub(crate) const PUT_OFF: (&str, &str) = ("METRICS_DEFERRED", "rings");

/// Every setting of every verb.
const SETTINGS: [&[Setting]; 6] = [
    broker::SETTINGS,
    broker::accounts::SETTINGS,
    broker::streams::SETTINGS,
    storage::REDIS_SETTINGS,
    storage::POSTGRES_SETTINGS,
    telemetry::SETTINGS,
];

/// Every setting of every verb as a markdown table.
pub(crate) fn settings_table() -> String {
    markdown_table(&SETTINGS.concat()).trim_end().to_owned()
}

/// Reads settings with `part`.
///
/// # Errors
/// Every mistake in them.
pub(crate) fn read<T>(part: impl FnOnce(&mut Reader) -> T) -> Result<T, Mistakes> {
    let mut reader = Reader::from_environment();
    let settings = part(&mut reader);
    reader.finish()?;
    Ok(settings)
}

/// The broker's settings, with our name.
pub(crate) fn broker_settings(reader: &mut Reader) -> BrokerSettings {
    BrokerSettings::read(reader, CONNECTION_NAME)
}

/// Connects to the broker.
pub(crate) async fn broker() -> anyhow::Result<Broker> {
    let settings = read(broker_settings)?;
    Broker::connect(&settings).await.context("connecting to the broker")
}

/// Prepares the rings, and tells how many points one holds.
pub(crate) fn rings() -> anyhow::Result<(Rings, RedisSettings)> {
    let settings = read(RedisSettings::read)?;
    Ok((Rings::open(&settings)?, settings))
}

/// Prepares the records.
pub(crate) fn records() -> anyhow::Result<Records> {
    let settings = read(PostgresSettings::read)?;
    Ok(Records::open(&settings)?)
}

/// Opens the key directory.
pub(crate) fn keys(path: &Path) -> anyhow::Result<KeyDir> {
    KeyDir::open(path).with_context(|| {
        let name = KEYS_DIR.name;
        format!("opening the key directory; set {name}, or run: wegweiser accounts bootstrap")
    })
}

/// Starts logging where `WEGWEISER_LOG` asks for it, since a verb's answer is what it prints, and
/// traces where the standard variables ask.
///
/// # Errors
/// The settings are wrong or traces cannot be sent.
pub(crate) fn telemetry() -> anyhow::Result<Option<Telemetry>> {
    let logs = std::env::var_os(logs::LOG.name).is_some_and(|value| !value.is_empty());
    let settings = read(TelemetrySettings::read)?;
    if !logs && !settings.traces() {
        return Ok(None);
    }
    let settings = settings.of_a_verb(logs);
    telemetry::start(CONNECTION_NAME, &settings).context("starting logs").map(Some)
}
