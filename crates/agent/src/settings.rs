//! The agent's settings. The device's id is the name in its credentials: there is no setting that
//! could contradict them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use broker::{BrokerSettings, SpoolSettings};
use identity::Credentials;
use protocol::{DeviceId, Labels, TenantId};
use runtime::causes::chain;
use runtime::settings::{Reader, Setting};
use runtime::telemetry;

use crate::command::CommandPlan;
use crate::config::{self, CollectorPlan, Configuration};

/// Tag in the credentials that names the tenant.
const TENANT_TAG: &str = "tenant:";

/// As the broker's setting of that name, but the agent cannot do without.
pub(crate) const CREDS: Setting = Setting {
    name: "NATS_CREDS",
    default: None,
    unit: "a path",
    help: "Credentials file (mode 0600) of this device; they name it.",
};
/// Where enrolment puts them: there alone can the service renew them.
pub(crate) const CREDS_USUAL: &str = "/var/lib/wegweiser-agent/device.creds";
pub(crate) const TENANT: Setting = Setting {
    name: "WEGWEISER_TENANT",
    default: None,
    unit: "a UUID",
    help: "Tenant of this device; may be left out where the credentials carry the tag tenant:UUID.",
};
pub(crate) const METRICS_INTERVAL: Setting = Setting {
    name: "WEGWEISER_METRICS_INTERVAL_MS",
    default: Some("2000"),
    unit: "milliseconds",
    help: "How often the live metrics are measured and sent.",
};
pub(crate) const HEARTBEAT_INTERVAL: Setting = Setting {
    name: "WEGWEISER_HEARTBEAT_INTERVAL_MS",
    default: Some("15000"),
    unit: "milliseconds",
    help: "How often a heartbeat is sent; after three missed the device is shown as offline.",
};
pub(crate) const MONITORING_INTERVAL: Setting = Setting {
    name: "WEGWEISER_MONITORING_INTERVAL_MS",
    default: Some("300000"),
    unit: "milliseconds",
    help: "How often a monitoring report is sent, beside the one at the start.",
};
pub(crate) const SPOOL_DIR: Setting = Setting {
    name: "WEGWEISER_AGENT_SPOOL_DIR",
    default: Some(if cfg!(windows) {
        r"C:\ProgramData\Wegweiser\spool"
    } else {
        "/var/lib/wegweiser-agent/spool"
    }),
    unit: "a path to a folder, or `off`",
    help: "Where messages are kept until a stream has them; with `off`, in memory only.",
};
pub(crate) const SPOOL_MAX_BYTES: Setting = Setting {
    name: "WEGWEISER_AGENT_SPOOL_MAX_BYTES",
    default: Some("67108864"),
    unit: "bytes",
    help: "How much the spool may hold; the oldest metrics make room, then heartbeats, then monitoring reports.",
};
pub(crate) const SPOOL_MAX_AGE: Setting = Setting {
    name: "WEGWEISER_AGENT_SPOOL_MAX_AGE_S",
    default: Some("604800"),
    unit: "seconds",
    help: "How long a message is kept; metric points for 15 minutes at most.",
};
pub(crate) const SPOOL_MESSAGES_PER_S: Setting = Setting {
    name: "WEGWEISER_AGENT_SPOOL_MESSAGES_PER_S",
    default: Some("100"),
    unit: "messages a second",
    help: "How fast the spool is emptied after an outage; what is new goes before it.",
};
pub(crate) const RECONNECT_SPREAD: Setting = Setting {
    name: "WEGWEISER_RECONNECT_SPREAD_MS",
    default: Some("20000"),
    unit: "milliseconds",
    help: "Span over which a fleet's first reconnections are spread; it doubles with each failure, \
           up to 30 s where it is not longer from the start.",
};
pub(crate) const STATUS_FILE: Setting = Setting {
    name: "WEGWEISER_AGENT_STATUS_FILE",
    default: Some(if cfg!(windows) {
        r"C:\ProgramData\Wegweiser\status.json"
    } else if cfg!(target_os = "macos") {
        "/var/run/wegweiser-agent/status.json"
    } else {
        "/run/wegweiser-agent/status.json"
    }),
    unit: "a path",
    help: "File that `wegweiser-agent status` reads; best in memory, so that a full disk is told.",
};
pub(crate) const COMMANDS_DIR: Setting = Setting {
    name: "WEGWEISER_AGENT_COMMANDS_DIR",
    default: None,
    unit: "a path to a folder",
    help: "Where it is noted which commands were taken and what came of them; without it, `commands` beside the credentials.",
};
pub(crate) const COMMAND_KEYS: Setting = Setting {
    name: "WEGWEISER_AGENT_COMMAND_KEYS",
    default: None,
    unit: "a path",
    help: "File with the public keys that sign commands, one a line; without it, `command-keys` beside the credentials, where enrolment puts it.",
};
pub(crate) const LISTEN: Setting = Setting {
    name: "WEGWEISER_AGENT_LISTEN",
    default: None,
    unit: "an address such as 127.0.0.1:9465",
    help: "Where /healthz, /readyz and /metrics of the agent answer, to everybody who gets there; absent: nowhere.",
};
/// The agent's own settings.
const SETTINGS: &[Setting] = &[
    config::CONFIG,
    CREDS,
    TENANT,
    METRICS_INTERVAL,
    HEARTBEAT_INTERVAL,
    MONITORING_INTERVAL,
    SPOOL_DIR,
    SPOOL_MAX_BYTES,
    SPOOL_MAX_AGE,
    SPOOL_MESSAGES_PER_S,
    RECONNECT_SPREAD,
    STATUS_FILE,
    COMMANDS_DIR,
    COMMAND_KEYS,
    LISTEN,
];
/// What stands for no spool.
const OFF: &str = "off";

/// Every setting that the agent reads.
pub(crate) fn every() -> Vec<Setting> {
    [SETTINGS, broker::SETTINGS, telemetry::SETTINGS].concat()
}

/// What the agent is told.
#[derive(Debug)]
pub(crate) struct AgentSettings {
    pub(crate) broker: BrokerSettings,
    pub(crate) tenant: TenantId,
    pub(crate) device: DeviceId,
    /// `None`: messages wait in memory only.
    pub(crate) spool: Option<SpoolSettings>,
    pub(crate) reconnect_spread: Duration,
    pub(crate) status_file: PathBuf,
    /// `None`: no commands are taken.
    pub(crate) commands: Option<CommandPlan>,
    /// Where figures are shown.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) plan: Plan,
}

/// What may change while the agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) heartbeat_interval: Duration,
    pub(crate) monitoring_interval: Duration,
    pub(crate) labels: Labels,
    /// The collectors that run, by name.
    pub(crate) collectors: BTreeMap<String, CollectorPlan>,
}

impl AgentSettings {
    /// Reads [`SETTINGS`], the broker's and the document; `None` where a mistake was noted.
    pub(crate) fn read(reader: &mut Reader, document: &Configuration) -> Option<Self> {
        let broker = BrokerSettings::read(reader, "wegweiser-agent");
        let credentials = read_credentials(reader, broker.creds.as_deref());
        let device = credentials.as_ref().and_then(|creds| read_device(reader, creds));
        let tenant = read_tenant(reader, credentials.as_ref());
        let spool = read_spool(reader);
        let commands = config::commands(document, reader, broker.creds.as_deref());
        let plan = Plan::read(reader, document);
        let reconnect_spread = reader.milliseconds(&RECONNECT_SPREAD, 100..=600_000);
        let status_file = PathBuf::from(reader.text(&STATUS_FILE));
        let listen = reader.parse(&LISTEN);
        let (tenant, device) = (tenant?, device?);
        Some(Self {
            broker,
            tenant,
            device,
            spool,
            reconnect_spread,
            status_file,
            listen,
            commands,
            plan,
        })
    }
}

fn read_spool(reader: &mut Reader) -> Option<SpoolSettings> {
    const MIB: u64 = 1024 * 1024;
    const YEAR_S: u64 = 365 * 24 * 3_600;
    let settings = SpoolSettings {
        dir: reader.text(&SPOOL_DIR).into(),
        max_bytes: reader.number(&SPOOL_MAX_BYTES, 4 * MIB..=64 * 1024 * MIB),
        max_age: reader.seconds(&SPOOL_MAX_AGE, 60..=YEAR_S),
        messages_per_s: reader.number(&SPOOL_MESSAGES_PER_S, 1..=100_000),
    };
    if settings.dir.as_os_str() == OFF {
        return None;
    }
    if settings.dir.is_relative() {
        let given = settings.dir.display();
        reader.mistake(&SPOOL_DIR, format!("is {given:?}; give a path from the root, or off"));
    }
    Some(settings)
}

impl Plan {
    fn read(reader: &mut Reader, document: &Configuration) -> Self {
        const HOUR_MS: u64 = 3_600_000;
        let metrics_interval = reader.milliseconds(&METRICS_INTERVAL, 250..=HOUR_MS);
        Self {
            heartbeat_interval: reader.milliseconds(&HEARTBEAT_INTERVAL, 1_000..=HOUR_MS),
            monitoring_interval: reader.milliseconds(&MONITORING_INTERVAL, 1_000..=24 * HOUR_MS),
            labels: config::labels(document, reader),
            collectors: config::collectors(document, reader, metrics_interval),
        }
    }
}

fn read_credentials(reader: &mut Reader, path: Option<&Path>) -> Option<Credentials> {
    let Some(path) = path else {
        reader.mistake(&CREDS, "is not set; give the path of this device's credentials".to_owned());
        return None;
    };
    match Credentials::load(path) {
        Ok(credentials) => Some(credentials),
        Err(error) => {
            reader.mistake(&CREDS, format!("is {:?}: {}", path.display(), chain(&error)));
            None
        }
    }
}

fn read_device(reader: &mut Reader, credentials: &Credentials) -> Option<DeviceId> {
    let name = &credentials.user().name;
    if let Ok(device) = name.parse() {
        return Some(device);
    }
    reader.mistake(
        &CREDS,
        format!("holds the credentials of {name:?}, which is no device's UUID; issue a device's"),
    );
    None
}

fn read_tenant(reader: &mut Reader, credentials: Option<&Credentials>) -> Option<TenantId> {
    let tags = credentials.map(|creds| creds.user().body.tags.as_slice()).unwrap_or_default();
    let tagged = tags.iter().find_map(|tag| tag.strip_prefix(TENANT_TAG)?.parse().ok());
    let given = reader.optional(&TENANT);
    match (given, tagged) {
        (Some(given), tagged) => check_tenant(reader, &given, tagged),
        (None, Some(tagged)) => Some(tagged),
        (None, None) => {
            reader.mistake(&TENANT, "is not set; give the UUID of this device's tenant".to_owned());
            None
        }
    }
}

fn check_tenant(reader: &mut Reader, given: &str, tagged: Option<TenantId>) -> Option<TenantId> {
    let given: TenantId = match given.parse() {
        Ok(tenant) => tenant,
        Err(error) => {
            reader.mistake(&TENANT, format!("{error}"));
            return None;
        }
    };
    match tagged {
        Some(tagged) if tagged != given => {
            reader.mistake(&TENANT, format!("is {given}, but the credentials are of {tagged}"));
            None
        }
        _ => Some(given),
    }
}
