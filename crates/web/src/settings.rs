//! The web service's settings.

use std::net::SocketAddr;

use broker::BrokerSettings;
use runtime::settings::{Mistakes, Reader, Setting, markdown_table};
use runtime::telemetry::{self, TelemetrySettings};
use storage::{PostgresSettings, RedisSettings};

use crate::tls::TlsFiles;

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
const SETTINGS: [&[Setting]; 5] = [
    &[LISTEN, TLS_CERT, TLS_KEY],
    broker::SETTINGS,
    storage::REDIS_SETTINGS,
    storage::POSTGRES_SETTINGS,
    telemetry::SETTINGS,
];

/// Everything that the web service is told.
#[derive(Debug)]
pub(crate) struct WebSettings {
    pub(crate) listen: SocketAddr,
    /// `None`: plain, on loopback.
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) broker: BrokerSettings,
    pub(crate) redis: RedisSettings,
    pub(crate) postgres: PostgresSettings,
    pub(crate) telemetry: TelemetrySettings,
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
        let settings = Self {
            listen: listen(&mut reader, tls.is_some()),
            tls,
            broker: BrokerSettings::read(&mut reader, "wegweiser-web"),
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
