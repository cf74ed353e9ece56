//! One question to the web service over HTTPS.
//!
//! Promises: the certificate is verified; answer and time are bounded; what can be tried again is
//! told from what cannot. Refuses: plain HTTP to anything but this machine, and redirections.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use protocol::{EnrollAnswer, EnrollRequest};
use runtime::causes::chain;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer; an authority's certificates are most of it.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// Speaks to one web service.
pub(super) struct Poster {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
}

/// Why there is no answer.
pub(super) enum Failed {
    /// The same question gets the same answer.
    Refused(String),
    /// Later it may be answered.
    Away(String),
}

impl Poster {
    /// # Errors
    /// The URL is none of ours, or the authority cannot be read.
    pub(super) fn new(url: &str, ca: Option<&Path>) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/');
        let url: Uri = format!("{base}/v1/enroll")
            .parse()
            .with_context(|| format!("--url is {base:?}; give one such as https://host:8443"))?;
        let host = url.host().unwrap_or_default();
        let here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        match url.scheme_str() {
            Some("https") => {}
            Some("http") if here => {}
            _ => bail!("--url is {base:?}; give https://, so that nobody reads the token"),
        }
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trusting(ca)?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), url })
    }

    pub(super) async fn enroll(&self, question: &EnrollRequest) -> Result<EnrollAnswer, Failed> {
        match tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(question)).await {
            Ok(answer) => answer,
            Err(_) => {
                let seconds = ANSWER_TIMEOUT.as_secs();
                Err(Failed::Away(format!("{} did not answer within {seconds} s", self.url)))
            }
        }
    }

    async fn exchange(&self, question: &EnrollRequest) -> Result<EnrollAnswer, Failed> {
        let away = |error: &dyn std::error::Error| {
            Failed::Away(format!("{} cannot be asked: {}", self.url, chain(error)))
        };
        let body = serde_json::to_vec(question)
            .map_err(|error| Failed::Refused(format!("the question cannot be written: {error}")))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failed::Refused(format!("{}: {error}", self.url)))?;
        let answer = self.client.request(request).await.map_err(|error| away(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
        let body = body.map_err(|error| away(error.as_ref()))?.to_bytes();
        if status == StatusCode::OK {
            return serde_json::from_slice(&body)
                .map_err(|error| Failed::Refused(format!("{} answered {error}", self.url)));
        }
        let detail = serde_json::from_slice::<Value>(&body).ok();
        let detail = detail.as_ref().and_then(|problem| problem["detail"].as_str());
        let said =
            detail.unwrap_or("and nothing that this agent understands; is it wegweiser-web?");
        let text = format!("{} answered {status}: {said}", self.url);
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failed::Away(text));
        }
        Err(Failed::Refused(text))
    }
}

/// How a client speaks TLS that trusts `ca`, or the system's authorities.
fn trusting(ca: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let reading = || format!("reading the authority {} (--ca)", path.display());
            for certificate in CertificateDer::pem_file_iter(path).with_context(reading)? {
                roots.add(certificate.with_context(reading)?).with_context(reading)?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("preparing TLS")?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
