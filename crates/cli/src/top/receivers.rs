//! What receivers say of themselves, at the addresses where they answer /readyz and /metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;

/// Longest wait for both answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Far above what a receiver answers.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// How one receiver fares.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ReceiverLook {
    pub(super) address: String,
    pub(super) ready: bool,
    /// What is not up, or why it does not answer.
    pub(super) reason: Option<String>,
    /// Messages that it has made durable since it started.
    pub(super) done: Option<u64>,
    pub(super) done_per_s: Option<f64>,
    pub(super) parked: Option<u64>,
    /// Messages in its hands.
    pub(super) held: Option<u64>,
}

pub(super) async fn look(address: &str) -> ReceiverLook {
    let mut look = ReceiverLook {
        address: address.to_owned(),
        ready: false,
        reason: None,
        done: None,
        done_per_s: None,
        parked: None,
        held: None,
    };
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(address, &mut look));
    match asked.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => look.reason = Some(format!("{error:#}")),
        Err(_) => look.reason = Some(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
    }
    look
}

async fn ask(address: &str, look: &mut ReceiverLook) -> anyhow::Result<()> {
    let (status, parts) = get(address, "/readyz").await?;
    look.ready = status == StatusCode::OK;
    let parts: BTreeMap<String, String> = serde_json::from_str(&parts).context("no receiver")?;
    let down = parts.into_iter().filter(|(_, state)| state != "up");
    let down: Vec<String> = down.map(|(part, state)| format!("{part}: {state}")).collect();
    look.reason = (!down.is_empty()).then(|| down.join("; "));
    let (_, page) = get(address, "/metrics").await?;
    look.done = Some(sum(&page, "wegweiser_messages_total", r#"verdict="done""#));
    look.parked = Some(sum(&page, "wegweiser_messages_total", r#"verdict="parked""#));
    look.held = Some(sum(&page, "wegweiser_held_messages", ""));
    Ok(())
}

async fn get(address: &str, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("reading {path}: {error}"))?;
        anyhow::Ok((status, body.to_bytes()))
    };
    // The connection does its work beside the exchange, and is over with it.
    let (status, body) = tokio::select! {
        exchanged = exchange => exchanged?,
        ended = connection => { ended?; anyhow::bail!("the connection ended") }
    };
    let known = status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE;
    ensure!(known, "{path} answers {status}");
    Ok((status, String::from_utf8(body.to_vec()).context("no text")?))
}

/// The sum of a figure over its series that have `label`.
fn sum(page: &str, name: &str, label: &str) -> u64 {
    let mut sum = 0;
    for line in page.lines() {
        let of_figure = line.strip_prefix(name).filter(|rest| rest.starts_with('{'));
        let value =
            of_figure.filter(|rest| rest.contains(label)).and_then(|rest| rest.rsplit(' ').next());
        // A count is whole; held messages may be below 0 for an instant.
        sum += value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_summed_over_its_series() {
        let page = "# TYPE wegweiser_messages_total counter\n\
                    wegweiser_messages_total{stream=\"A\",verdict=\"done\"} 40\n\
                    wegweiser_messages_total{stream=\"B\",verdict=\"done\"} 2\n\
                    wegweiser_messages_total{stream=\"B\",verdict=\"parked\"} 7\n\
                    wegweiser_messages_total_other{verdict=\"done\"} 100\n";
        assert_eq!(sum(page, "wegweiser_messages_total", r#"verdict="done""#), 42);
        assert_eq!(sum(page, "wegweiser_messages_total", r#"verdict="parked""#), 7);
    }
}
