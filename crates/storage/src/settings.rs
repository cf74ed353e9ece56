//! How to reach Redis and Postgres.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use runtime::settings::{Reader, Setting};
use secrecy::{ExposeSecret as _, SecretString};

const HOST: Setting = Setting {
    name: "METRICS_REDIS_HOST",
    default: Some("localhost"),
    unit: "a host name or address",
    help: "Redis that holds the rings.",
};
const PORT: Setting = Setting {
    name: "METRICS_REDIS_PORT",
    default: Some("6379"),
    unit: "a port",
    help: "Its port.",
};
const DB: Setting = Setting {
    name: "METRICS_REDIS_DB",
    default: Some("3"),
    unit: "a database number",
    help: "Its database.",
};
const PREFIX: Setting = Setting {
    name: "METRICS_REDIS_PREFIX",
    default: Some("wegweiser:metrics"),
    unit: "a text without blanks",
    help: "What every ring's key starts with: {prefix}:{device}:{metric}.",
};
const MAX_POINTS: Setting = Setting {
    name: "METRICS_MAX_POINTS",
    default: Some("300"),
    unit: "points",
    help: "Newest points that a ring keeps.",
};
const TTL: Setting = Setting {
    name: "METRICS_TTL_SECONDS",
    default: Some("900"),
    unit: "seconds",
    help: "Life of a ring after its last point.",
};
const REDIS_USERNAME: Setting = Setting {
    name: "WEGWEISER_REDIS_USERNAME",
    default: None,
    unit: "a name",
    help: "Redis ACL user; absent: the default user.",
};
const REDIS_PASSWORD_FILE: Setting = Setting {
    name: "WEGWEISER_REDIS_PASSWORD_FILE",
    default: None,
    unit: "a path",
    help: "File with that user's password; absent: none.",
};
const REDIS_TLS: Setting = Setting {
    name: "WEGWEISER_REDIS_TLS",
    default: Some("off"),
    unit: "off or on",
    help: "Whether Redis is spoken to over TLS.",
};
const REDIS_CA: Setting = Setting {
    name: "WEGWEISER_REDIS_CA",
    default: None,
    unit: "a path to a PEM file",
    help: "Certificate authority of Redis; absent: the system's.",
};
/// Every setting of the rings.
pub const REDIS_SETTINGS: &[Setting] = &[
    HOST,
    PORT,
    DB,
    PREFIX,
    MAX_POINTS,
    TTL,
    REDIS_USERNAME,
    REDIS_PASSWORD_FILE,
    REDIS_TLS,
    REDIS_CA,
];

const DATABASE_URL: Setting = Setting {
    name: "DATABASE_URL",
    default: Some("postgresql://localhost/wegweiser"),
    unit: "a URL such as postgresql://user@host/database?sslmode=require",
    help: "Postgres that holds the records.",
};
const DATABASE_PASSWORD_FILE: Setting = Setting {
    name: "WEGWEISER_DATABASE_PASSWORD_FILE",
    default: None,
    unit: "a path",
    help: "File with the database password, so that it need not stand in the URL.",
};
const DATABASE_CA: Setting = Setting {
    name: "WEGWEISER_DATABASE_CA",
    default: None,
    unit: "a path to a PEM file",
    help: "Certificate authority of the database server; absent: the system's.",
};
const POOL: Setting = Setting {
    name: "WEGWEISER_DATABASE_POOL_CONNECTIONS",
    default: Some("6"),
    unit: "connections",
    help: "Most connections that one process opens.",
};
const STATEMENT_TIMEOUT: Setting = Setting {
    name: "WEGWEISER_DATABASE_STATEMENT_TIMEOUT_MS",
    default: Some("15000"),
    unit: "milliseconds",
    help: "Longest that one statement may take before it is tried again.",
};
/// Every setting of the records.
pub const POSTGRES_SETTINGS: &[Setting] =
    &[DATABASE_URL, DATABASE_PASSWORD_FILE, DATABASE_CA, POOL, STATEMENT_TIMEOUT];

/// How to reach the rings, and their shape.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database number.
    pub database: u16,
    /// What every key starts with.
    pub prefix: String,
    /// Newest points that a ring keeps.
    pub max_points: u32,
    /// Life of a ring after its last point.
    pub ttl: Duration,
    /// ACL user.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// Certificate authority; `None` trusts the system's.
    pub ca: Option<PathBuf>,
}

impl RedisSettings {
    /// Reads [`REDIS_SETTINGS`].
    pub fn read(reader: &mut Reader) -> Self {
        const MOST_POINTS: u32 = 100_000;
        const LONGEST_TTL_SECONDS: u64 = 30 * 24 * 3600;
        let prefix = reader.text(&PREFIX);
        if prefix.contains(char::is_whitespace) {
            reader.mistake(&PREFIX, format!("is {prefix:?}; give {}", PREFIX.unit));
        }
        Self {
            host: reader.text(&HOST),
            port: reader.number(&PORT, 1..=u16::MAX),
            database: reader.number(&DB, 0..=u16::MAX),
            prefix,
            max_points: reader.number(&MAX_POINTS, 1..=MOST_POINTS),
            ttl: reader.seconds(&TTL, 1..=LONGEST_TTL_SECONDS),
            username: reader.optional(&REDIS_USERNAME),
            password: password(reader, &REDIS_PASSWORD_FILE),
            tls: reader.one_of(&REDIS_TLS, &["off", "on"]) == "on",
            ca: reader.path(&REDIS_CA),
        }
    }
}

/// How to reach the records.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// URL, possibly with a password in it.
    pub url: SecretString,
    /// Password, where it is not in the URL.
    pub password: Option<SecretString>,
    /// Certificate authority; `None` trusts the system's.
    pub ca: Option<PathBuf>,
    /// Most connections of this process.
    pub pool_connections: usize,
    /// Longest that a statement may take.
    pub statement_timeout: Duration,
}

impl PostgresSettings {
    /// Reads [`POSTGRES_SETTINGS`].
    pub fn read(reader: &mut Reader) -> Self {
        const MOST_CONNECTIONS: usize = 1_000;
        let url = SecretString::from(reader.text(&DATABASE_URL));
        if let Err(error) = tokio_postgres::Config::from_str(url.expose_secret()) {
            // The value may hold a password, so it is not repeated.
            reader.mistake(&DATABASE_URL, format!("{error}; give {}", DATABASE_URL.unit));
        }
        Self {
            url,
            password: password(reader, &DATABASE_PASSWORD_FILE),
            ca: reader.path(&DATABASE_CA),
            pool_connections: reader.number(&POOL, 2..=MOST_CONNECTIONS),
            statement_timeout: reader.milliseconds(&STATEMENT_TIMEOUT, 100..=600_000),
        }
    }
}

fn password(reader: &mut Reader, setting: &Setting) -> Option<SecretString> {
    let path = reader.path(setting)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) => {
            reader.mistake(setting, format!("{}: {error}; give {}", path.display(), setting.unit));
            None
        }
    }
}
