//! HTTPS: verified, renewed while running, and nothing in the clear beside it.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::support::{Servers, Web, command};

const DEADLINE: Duration = Duration::from_secs(30);

/// Certificates of an authority of their own, copied to where the service looks.
fn renew(parent: &Path, name: &str) -> PathBuf {
    let made = devstack::tls::files_in(&parent.join(name)).unwrap();
    std::fs::copy(&made.key, parent.join("web.key")).unwrap();
    std::fs::copy(&made.certificate, parent.join("web.pem")).unwrap();
    made.ca
}

/// The status of `/healthz` for a client that trusts `ca` alone; `None` where it trusts nobody there.
async fn health(web: &Web, ca: &Path) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let tls = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1();
    let client: Client<HttpsConnector<HttpConnector>, Empty<&'static [u8]>> =
        Client::builder(TokioExecutor::new()).build(connector.build());
    let answer = client.get(format!("{}/healthz", web.url).parse().unwrap()).await;
    Some(answer.ok()?.status().as_u16())
}

async fn until_health(web: &Web, ca: &Path, wanted: Option<u16>) {
    let deadline = Instant::now() + DEADLINE;
    while health(web, ca).await != wanted {
        assert!(Instant::now() < deadline, "it does not become {wanted:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let servers = Servers::start();
    let directory = tempfile::tempdir().unwrap();
    let first = renew(directory.path(), "first");
    let (cert, key) = (directory.path().join("web.pem"), directory.path().join("web.key"));
    let (cert_text, key_text) = (cert.display().to_string(), key.display().to_string());
    let settings = [("WEGWEISER_WEB_TLS_CERT", &*cert_text), ("WEGWEISER_WEB_TLS_KEY", &*key_text)];
    let web = Web::start_with(&servers, &settings);
    assert!(web.url.starts_with("https://"), "{}", web.url);
    assert_eq!(health(&web, &first).await, Some(200));
    let plain = web.url.replace("https://", "http://");
    assert!(reqwest::get(format!("{plain}/healthz")).await.is_err(), "answered in the clear");

    let second = renew(directory.path(), "second");
    assert_eq!(health(&web, &second).await, None);
    web.signal("-HUP");
    until_health(&web, &second, Some(200)).await;
    assert_eq!(health(&web, &first).await, None);

    std::fs::write(&cert, "no certificate").unwrap();
    web.signal("-HUP");
    assert_eq!(health(&web, &second).await, Some(200));
    assert!(web.terminate().await.success());
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    renew(directory.path(), "first");
    let (cert, key) = (directory.path().join("web.pem"), directory.path().join("web.key"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = command()
        .env("WEGWEISER_WEB_TLS_CERT", &cert)
        .env("WEGWEISER_WEB_TLS_KEY", &key)
        .env("DATABASE_URL", "postgresql://127.0.0.1:1/none")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success());
    assert!(text.contains("run: chmod 0600"), "{text}");
}
