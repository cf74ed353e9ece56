//! Bad requests and bad settings: named, with field, value and remedy.

use std::process::Stdio;

use reqwest::{Client, Method, StatusCode};

use crate::support::{DEVICE, Servers, Web, command};

#[tokio::test]
async fn a_bad_request_names_field_value_and_remedy() {
    let servers = Servers::with_tables().await;
    let web = Web::start(&servers);
    for (path, field, value, remedy) in [
        ("/v1/devices/x/metrics/uptime".to_owned(), "device", "x", "8-4-4-4-12"),
        ("/v1/devices/x".to_owned(), "device", "x", "8-4-4-4-12"),
        (format!("/v1/devices/{DEVICE}/metrics/CPU"), "metric", "CPU", "[a-z0-9_]"),
        (format!("/v1/devices/{DEVICE}/metrics/%2a"), "metric", "*", "[a-z0-9_]"),
        (format!("/v1/devices/{DEVICE}/metrics/uptime?last=0"), "last", "0", "1 to 300"),
        (format!("/v1/devices/{DEVICE}/metrics/uptime?last=301"), "last", "301", "1 to 300"),
        (format!("/v1/devices/{DEVICE}/metrics/uptime?last="), "last", "", "1 to 300"),
        ("/v1/devices?tenant=acme".to_owned(), "tenant", "acme", "8-4-4-4-12"),
        ("/v1/devices?limit=-1".to_owned(), "limit", "-1", "1 to 1000"),
        ("/v1/devices?label=Site%3Dx".to_owned(), "label", "Site=x", "label key"),
        ("/v1/devices?state=up".to_owned(), "state", "up", "unseen"),
        ("/v1/devices?sort=age".to_owned(), "sort", "age", "last_heartbeat"),
        ("/v1/devices?after=x".to_owned(), "after", "x", "`next`"),
        ("/v1/devices?text=a%00b".to_owned(), "text", "a\0b", "control"),
        ("/v1/devices?metric=CPU".to_owned(), "metric", "CPU", "[a-z0-9_]"),
        ("/v1/audit?before=0".to_owned(), "before", "0", "`next`"),
        ("/v1/audit?since=-1".to_owned(), "since", "-1", "milliseconds"),
    ] {
        let response = web.get(&path).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: serde_json::Value = response.json().await.unwrap();
        assert_eq!((&problem["field"], &problem["value"]), (&field.into(), &value.into()));
        assert_eq!(problem["status"], 400);
        let said = problem["remedy"].as_str().unwrap();
        assert!(said.contains(remedy), "{path}: {said}");
    }
    let (status, problem) = web.json(&format!("/v1/devices/{DEVICE}?verbose=1")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().unwrap().contains("verbose"), "{problem}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let web = Web::start(&Servers::start());
    let url = format!("{}/v1/devices", web.url);
    let client = Client::new();
    let long = client.get(format!("{url}?tenant={}", "x".repeat(5_000))).send().await.unwrap();
    assert_eq!(long.status(), StatusCode::URI_TOO_LONG);
    let posted = client.post(&url).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    let body = client.get(&url).body("x").send().await.unwrap();
    assert_eq!(body.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let health = format!("{}/readyz", web.url);
    let foreign = client.get(&health).header("host", "evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::MISDIRECTED_REQUEST);
    let unknown = client.get(format!("{}/v1/nothing", web.url)).send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_answer_carries_the_callers_id_or_a_new_one() {
    let web = Web::start(&Servers::start());
    let url = format!("{}/healthz", web.url);
    let given = Client::new().get(&url).header("x-request-id", "mine-1").send().await.unwrap();
    assert_eq!(given.headers()["x-request-id"], "mine-1");
    let odd = Client::new().get(&url).header("x-request-id", "a b").send().await.unwrap();
    assert_eq!(odd.headers()["x-request-id"].len(), 36);
}

#[test]
fn bad_settings_are_told_at_once_and_an_open_address_is_refused() {
    let output = command()
        .env("WEGWEISER_WEB_LISTEN", "0.0.0.0:0")
        .env("METRICS_REDIS_PORT", "x")
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("WEGWEISER_WEB_LISTEN: is 0.0.0.0:0"), "{said}");
    assert!(said.contains("without TLS"), "{said}");
    assert!(said.contains("METRICS_REDIS_PORT: is \"x\""), "{said}");
}

#[test]
fn the_settings_are_printed_as_a_markdown_table() {
    let output = command().arg("--settings").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("| `WEGWEISER_WEB_LISTEN` | `127.0.0.1:8080` |"), "{said}");
    assert_eq!(command().arg("--wrong").output().unwrap().status.code(), Some(64));
}

#[tokio::test]
async fn what_the_caller_has_already_is_not_sent_again() {
    let servers = Servers::with_tables().await;
    let web = Web::start(&servers);
    let first = web.get("/v1/devices").await;
    let tag = first.headers()["etag"].clone();
    let ask = || web.ask(Method::GET, "/v1/devices", Some(&servers.admin));
    let again = ask().header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()["etag"], tag);
    assert_eq!(again.text().await.unwrap(), "");
    let other = ask().header("if-none-match", "\"x\"").send().await.unwrap();
    assert_eq!(other.status(), StatusCode::OK);
}
