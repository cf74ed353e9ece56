//! The web service's settings.

use std::net::SocketAddr;

use broker::BrokerSettings;
use runtime::settings::{Mistakes, Reader, Setting, markdown_table};
use runtime::telemetry::{self, TelemetrySettings};
use storage::{PostgresSettings, RedisSettings};

const LISTEN: Setting = Setting {
    name: "WEGWEISER_WEB_LISTEN",
    default: Some("127.0.0.1:8080"),
    unit: "a loopback address such as 127.0.0.1:8080, port 0 for any",
    help: "Where the HTTP API answers; only loopback, since there is no sign-in.",
};
const SETTINGS: [&[Setting]; 5] = [
    &[LISTEN],
    broker::SETTINGS,
    storage::REDIS_SETTINGS,
    storage::POSTGRES_SETTINGS,
    telemetry::SETTINGS,
];

/// Everything that the web service is told.
#[derive(Debug)]
pub(crate) struct WebSettings {
    pub(crate) listen: SocketAddr,
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
        let settings = Self {
            listen: listen(&mut reader),
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

fn listen(reader: &mut Reader) -> SocketAddr {
    let address: SocketAddr = reader.parse(&LISTEN).unwrap_or(NOWHERE);
    if !address.ip().is_loopback() {
        let problem = format!(
            "is {address}, which other machines can reach, and there is no sign-in yet; \
             give {}, and come from elsewhere through an SSH tunnel",
            LISTEN.unit
        );
        reader.mistake(&LISTEN, problem);
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        let loopback = WebSettings::read_with(Reader::new(|name| {
            (name == "WEGWEISER_WEB_LISTEN").then(|| "[::1]:0".to_owned())
        }));
        assert!(loopback.unwrap().listen.ip().is_loopback());
        let open = WebSettings::read_with(Reader::new(|name| {
            (name == "WEGWEISER_WEB_LISTEN").then(|| "0.0.0.0:8080".to_owned())
        }));
        let said = open.unwrap_err().to_string();
        assert!(said.contains("WEGWEISER_WEB_LISTEN: is 0.0.0.0:8080"), "{said}");
        assert!(said.contains("no sign-in"), "{said}");
    }
}
