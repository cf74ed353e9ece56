//! The broker: address, TLS, credentials and version; then its streams and clock.

use broker::streams::StreamSettings;
use broker::{Broker, BrokerSettings, ConnectError};
use identity::Credentials;

use super::finding::Finding;
use super::{ANSWER_TIMEOUT, streams};

/// Oldest server that has what our streams need (message lifetimes, consumer pauses).
const SERVER_OLDEST: (u32, u32) = (2, 15);
const NOT_REACHED: &str = "not checked: the broker is not reached";
const SEE_BROKER: &str = "see broker above";

pub(super) async fn check(settings: &BrokerSettings, streams: &StreamSettings) -> Vec<Finding> {
    let connected = tokio::time::timeout(ANSWER_TIMEOUT, Broker::connect(settings)).await;
    let broker = match connected {
        Ok(Ok(broker)) => broker,
        Ok(Err(error)) => return not_reached(error.to_string(), &remedy(&error)),
        Err(_) => {
            let found = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
            return not_reached(found, "systemctl status nats-server");
        }
    };
    let mut findings = vec![connection(settings, &broker), encryption(&settings.url)];
    findings.extend(streams::check(&broker, streams).await);
    findings
}

/// What depends on the connection is not left out of the list.
fn not_reached(found: String, remedy: &str) -> Vec<Finding> {
    let mut findings = vec![Finding::fail("broker", found, remedy)];
    for check in ["broker TLS", "streams", "consumers", "broker clock"] {
        findings.push(Finding::fail(check, NOT_REACHED, SEE_BROKER));
    }
    findings
}

fn connection(settings: &BrokerSettings, broker: &Broker) -> Finding {
    let version = broker.server_version();
    let user = match &settings.creds {
        None => "without credentials".to_owned(),
        Some(path) => match Credentials::load(path) {
            Ok(credentials) => format!("as {}", credentials.user().name),
            Err(error) => format!("as an unnamed user ({error})"),
        },
    };
    let found = format!("{} {user}, nats-server {version}", settings.url);
    if major_and_minor(&version).is_some_and(|version| version < SERVER_OLDEST) {
        return Finding::fail("broker", found, "install nats-server 2.15 or newer");
    }
    Finding::ok("broker", found)
}

/// Whether every address asks for TLS; the client then verifies the certificate.
fn encryption(url: &str) -> Finding {
    const CHECK: &str = "broker TLS";
    let plain: Vec<&str> = url.split(',').map(str::trim).filter(|part| !is_tls(part)).collect();
    if plain.is_empty() {
        return Finding::ok(CHECK, "certificate verified");
    }
    let remedy = "export NATS_URL=tls://HOST:4222";
    if plain.iter().all(|part| is_loopback(part)) {
        return Finding::warn(CHECK, "not asked for by NATS_URL, on loopback only", remedy);
    }
    Finding::fail(CHECK, format!("not asked for by NATS_URL: {}", plain.join(", ")), remedy)
}

fn is_tls(address: &str) -> bool {
    address.starts_with("tls://") || address.starts_with("wss://")
}

fn is_loopback(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    ["localhost", "127.", "[::1]"].iter().any(|start| host.starts_with(start))
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn remedy(error: &ConnectError) -> String {
    let text = match error {
        ConnectError::Url { .. } => "export NATS_URL=tls://HOST:4222",
        ConnectError::Creds { .. } => {
            "export NATS_CREDS=/path/to/operator.creds; \
             wegweiser accounts bootstrap --creds-dir DIRECTORY makes it"
        }
        ConnectError::Certificate(_) => {
            "export WEGWEISER_NATS_CLIENT_CERT and WEGWEISER_NATS_CLIENT_KEY, both PEM, the key 0600"
        }
        ConnectError::Refused { reason, .. } => {
            let reason = reason.to_lowercase();
            if reason.contains("tls") || reason.contains("certificate") {
                "export WEGWEISER_NATS_CA=/path/to/ca.pem"
            } else if reason.contains("authorization") {
                "export NATS_CREDS=/path/to/operator.creds, issued by this broker's operator"
            } else {
                "systemctl status nats-server; start it, or correct NATS_URL"
            }
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(url: &str) -> String {
        let json = serde_json::to_value(encryption(url)).unwrap();
        json["level"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_address_in_the_clear_is_a_failure_unless_it_is_loopback() {
        assert_eq!(level("tls://broker:4222, wss://broker:443"), "ok");
        assert_eq!(level("nats://127.0.0.1:4222,localhost:4222"), "warn");
        assert_eq!(level("tls://broker:4222,nats://other:4222"), "fail");
        assert_eq!(level("broker:4222"), "fail");
    }
}
