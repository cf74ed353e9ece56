//! The web service's settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use broker::BrokerSettings;
use broker::accounts::{DEVICE_LIFETIME, ISSUING_KEYS, device_lifetime};
use broker::streams::StreamSettings;
use runtime::settings::{Mistakes, Reader, Setting, markdown_table};
use runtime::telemetry::{self, TelemetrySettings};
use storage::{COMMANDS_KEPT_MAX_DAYS, COMMANDS_KEPT_MIN_DAYS, PostgresSettings, RedisSettings};

use crate::server::TlsFiles;

const LISTEN: Setting = Setting {
    name: "WEGWEISER_WEB_LISTEN",
    default: Some("127.0.0.1:8080"),
    unit: "an address such as 127.0.0.1:8080, port 0 for any",
    help: "Where the HTTP API answers; without TLS on loopback only.",
};
const TLS_CERT: Setting = Setting {
    name: "WEGWEISER_WEB_TLS_CERT",
    default: None,
    unit: "a path to a PEM file",
    help: "Certificate of the HTTP API with what leads to its authority; a renewed one is taken up \
           within a minute, or at once on SIGHUP.",
};
const TLS_KEY: Setting = Setting {
    name: "WEGWEISER_WEB_TLS_KEY",
    default: None,
    unit: "a path to a PEM file",
    help: "Key of that certificate, mode 0600.",
};
const UNREADY: Setting = Setting {
    name: "WEGWEISER_WEB_UNREADY_SECONDS",
    default: Some("1"),
    unit: "seconds",
    help: "How long /readyz says no at the end before no more connections are taken; for whoever sends requests to several.",
};
const CALLER_REQUESTS: Setting = Setting {
    name: "WEGWEISER_WEB_CALLER_REQUESTS_PER_SECOND",
    default: Some("100"),
    unit: "requests a second",
    help: "What one token or session may ask; five times as much at once after a pause.",
};
const ADDRESS_REQUESTS: Setting = Setting {
    name: "WEGWEISER_WEB_ADDRESS_REQUESTS_PER_SECOND",
    default: Some("200"),
    unit: "requests a second",
    help: "What one address may ask, a /64 of IPv6 being one; five times as much at once after a \
           pause. Behind a proxy everybody comes from its address: raise it there.",
};
const URL: Setting = Setting {
    name: "WEGWEISER_WEB_URL",
    default: None,
    unit: "a URL such as https://wegweiser.example",
    help: "Where people find the page, for the link of the first start; absent: made of \
           WEGWEISER_WEB_LISTEN.",
};
const ENROLL_URL: Setting = Setting {
    name: "WEGWEISER_ENROLL_NATS_URL",
    default: None,
    unit: "a URL such as tls://host:4222, or several with commas between",
    help: "The broker's address as devices that enrol are told it; absent: NATS_URL.",
};
const ENROLL_CA: Setting = Setting {
    name: "WEGWEISER_ENROLL_NATS_CA",
    default: None,
    unit: "a path to a PEM file",
    help: "Certificate authority that devices that enrol are given for it; absent: WEGWEISER_NATS_CA.",
};
const COMMAND_KEYS: Setting = Setting {
    name: "WEGWEISER_COMMAND_KEYS",
    default: None,
    unit: "a path",
    help: "Directory (mode 0700) of the keys that sign commands: the key directory's commands folder, \
           or a copy; absent: no commands are sent over the API.",
};
const COMMAND_GRACE: Setting = Setting {
    name: "WEGWEISER_COMMAND_GRACE_SECONDS",
    default: Some("600"),
    unit: "seconds",
    help: "How long beyond a command's timeout its device may be silent before the command counts \
           as timed out; what the device says later still counts.",
};
const COMMAND_RETENTION: Setting = Setting {
    name: "WEGWEISER_COMMAND_RETENTION_DAYS",
    default: Some("90"),
    unit: "days",
    help: "How long a command and all that was answered to it is kept after its end; the audit log \
           keeps who ordered it and what came of it.",
};
const COMMANDS: &[Setting] = &[COMMAND_KEYS, COMMAND_GRACE, COMMAND_RETENTION];
const REQUESTS_A_SECOND: std::ops::RangeInclusive<u32> = 1..=1_000_000;
const ENROLMENT: &[Setting] = &[ISSUING_KEYS, ENROLL_URL, ENROLL_CA, DEVICE_LIFETIME];
const SETTINGS: [&[Setting]; 8] = [
    &[LISTEN, URL, TLS_CERT, TLS_KEY, UNREADY, CALLER_REQUESTS, ADDRESS_REQUESTS],
    ENROLMENT,
    COMMANDS,
    broker::SETTINGS,
    broker::streams::SETTINGS,
    storage::REDIS_SETTINGS,
    storage::POSTGRES_SETTINGS,
    telemetry::SETTINGS,
];

/// Everything that the web service is told.
#[derive(Debug)]
pub(crate) struct WebSettings {
    pub(crate) listen: SocketAddr,
    /// Where people find the page, without a slash at its end; `None`: where it listens.
    pub(crate) url: Option<String>,
    /// `None`: plain, on loopback.
    pub(crate) tls: Option<TlsFiles>,
    /// How long it is not ready before it takes no more connections.
    pub(crate) unready: Duration,
    /// `None`: devices neither enrol nor renew here.
    pub(crate) enrolment: Option<EnrolmentSettings>,
    /// Keys that sign commands; `None`: none are sent over the API.
    pub(crate) command_keys: Option<PathBuf>,
    /// How long beyond its timeout a command's device may be silent.
    pub(crate) command_grace: Duration,
    /// How long a command is kept after its end.
    pub(crate) command_retention: Duration,
    /// Requests a second of one token or session, and of one address.
    pub(crate) caller_requests: u32,
    pub(crate) address_requests: u32,
    pub(crate) broker: BrokerSettings,
    /// The files that the broker's streams are compared with.
    pub(crate) streams: StreamSettings,
    pub(crate) redis: RedisSettings,
    pub(crate) postgres: PostgresSettings,
    pub(crate) telemetry: TelemetrySettings,
}

/// How devices get and renew their credentials.
#[derive(Debug)]
pub(crate) struct EnrolmentSettings {
    /// Issuing directory.
    pub(crate) keys: PathBuf,
    /// The broker's URLs as devices are told them.
    pub(crate) servers: String,
    /// The authority that they are given.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) lifetime: Duration,
}

/// Every setting as a markdown table.
pub(crate) fn table() -> String {
    markdown_table(&SETTINGS.concat())
}

impl WebSettings {
    /// Reads the environment.
    pub(crate) fn read() -> Result<Self, Mistakes> {
        Self::read_with(Reader::from_environment())
    }

    fn read_with(mut reader: Reader) -> Result<Self, Mistakes> {
        let tls = tls(&mut reader);
        let broker = BrokerSettings::read(&mut reader, "wegweiser-web");
        let settings = Self {
            listen: listen(&mut reader, tls.is_some()),
            url: reader.optional(&URL).map(|url| url.trim_end_matches('/').to_owned()),
            tls,
            unready: reader.seconds(&UNREADY, 0..=60),
            enrolment: enrolment(&mut reader, &broker),
            command_keys: reader.path(&COMMAND_KEYS),
            command_grace: reader.seconds(&COMMAND_GRACE, 1..=7 * 86_400),
            command_retention: retention(&mut reader),
            caller_requests: reader.number(&CALLER_REQUESTS, REQUESTS_A_SECOND),
            address_requests: reader.number(&ADDRESS_REQUESTS, REQUESTS_A_SECOND),
            streams: StreamSettings::read(&mut reader),
            broker,
            redis: RedisSettings::read(&mut reader),
            postgres: PostgresSettings::read(&mut reader),
            telemetry: TelemetrySettings::read(&mut reader),
        };
        reader.finish()?;
        Ok(settings)
    }
}

/// Never used: a mistake ends the reading.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn listen(reader: &mut Reader, tls: bool) -> SocketAddr {
    let address: SocketAddr = reader.parse(&LISTEN).unwrap_or(NOWHERE);
    if !address.ip().is_loopback() && !tls {
        let (cert, key) = (TLS_CERT.name, TLS_KEY.name);
        let problem = format!(
            "is {address}, which other machines can reach, and without TLS they would send their \
             tokens in the clear; set {cert} and {key}, or give a loopback address"
        );
        reader.mistake(&LISTEN, problem);
    }
    address
}

fn enrolment(reader: &mut Reader, broker: &BrokerSettings) -> Option<EnrolmentSettings> {
    let lifetime = device_lifetime(reader);
    Some(EnrolmentSettings {
        servers: reader.optional(&ENROLL_URL).unwrap_or_else(|| broker.url.clone()),
        ca: reader.path(&ENROLL_CA).or_else(|| broker.tls.ca.clone()),
        lifetime,
        keys: reader.path(&ISSUING_KEYS)?,
    })
}

fn retention(reader: &mut Reader) -> Duration {
    const DAY_SECONDS: u64 = 86_400;
    let days = COMMANDS_KEPT_MIN_DAYS..=COMMANDS_KEPT_MAX_DAYS;
    Duration::from_secs(reader.number(&COMMAND_RETENTION, days) * DAY_SECONDS)
}

fn tls(reader: &mut Reader) -> Option<TlsFiles> {
    match (reader.path(&TLS_CERT), reader.path(&TLS_KEY)) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            reader.mistake(&TLS_KEY, format!("is not set beside {}; give both", TLS_CERT.name));
            None
        }
        (None, Some(_)) => {
            reader.mistake(&TLS_CERT, format!("is not set beside {}; give both", TLS_KEY.name));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_listened_to_over_tls_only() {
        let loopback = WebSettings::read_with(Reader::new(|name| {
            (name == "WEGWEISER_WEB_LISTEN").then(|| "[::1]:0".to_owned())
        }));
        assert!(loopback.unwrap().listen.ip().is_loopback());
        let open = WebSettings::read_with(Reader::new(|name| {
            (name == "WEGWEISER_WEB_LISTEN").then(|| "0.0.0.0:8080".to_owned())
        }));
        let said = open.unwrap_err().to_string();
        assert!(said.contains("WEGWEISER_WEB_LISTEN: is 0.0.0.0:8080"), "{said}");
        assert!(said.contains("WEGWEISER_WEB_TLS_CERT"), "{said}");
        let safe = WebSettings::read_with(Reader::new(|name| match name {
            "WEGWEISER_WEB_LISTEN" => Some("0.0.0.0:8443".to_owned()),
            "WEGWEISER_WEB_TLS_CERT" | "WEGWEISER_WEB_TLS_KEY" => Some("x.pem".to_owned()),
            _ => None,
        }));
        assert!(safe.unwrap().tls.is_some());
    }

    #[test]
    fn a_certificate_without_its_key_is_a_mistake() {
        let half = WebSettings::read_with(Reader::new(|name| {
            (name == "WEGWEISER_WEB_TLS_CERT").then(|| "x.pem".to_owned())
        }));
        let said = half.unwrap_err().to_string();
        assert!(said.contains("WEGWEISER_WEB_TLS_KEY: is not set"), "{said}");
    }
}
