//! What is away is said, and nothing else stops.

use reqwest::StatusCode;

use storage::{ApiRole, NewApiToken};

use crate::support::{DEVICE, Servers, Web, token};

#[tokio::test]
async fn ready_means_that_every_server_answers_and_the_schema_is_there() {
    let mut servers = Servers::start();
    let web = Web::start(&servers);
    web.until_part("postgres", |state| state.contains("wegweiser migrate")).await;
    servers.records().migrate().await.unwrap();
    let admin = NewApiToken { role: ApiRole::Admin, ..token("admin") };
    servers.records().create_api_token(&servers.admin, admin).await.unwrap();
    for part in ["postgres", "redis", "broker"] {
        web.until_part(part, |state| state == "up").await;
    }
    assert_eq!(web.get("/readyz").await.status(), StatusCode::OK);

    servers.nats.kill().unwrap();
    web.until_part("broker", |state| state != "up").await;
    assert_eq!(web.get("/readyz").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(web.get("/v1/devices").await.status(), StatusCode::OK);
    servers.nats.restart().unwrap();
    web.until_part("broker", |state| state == "up").await;

    servers.redis.kill().unwrap();
    let path = format!("/v1/devices/{DEVICE}/metrics/cpu_percent");
    let (status, problem) = web.json(&path).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem["detail"].as_str().unwrap().contains("redis is unavailable"), "{problem}");
    web.until_part("redis", |state| state.contains("redis is unavailable")).await;
    assert_eq!(web.get("/healthz").await.status(), StatusCode::OK);
    servers.redis.restart().unwrap();
    web.until_part("redis", |state| state == "up").await;

    servers.postgres.stop().unwrap();
    let (status, problem) = web.json("/v1/devices").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem["detail"].as_str().unwrap().contains("postgres is unavailable"), "{problem}");

    assert!(web.terminate().await.success(), "SIGTERM is a regular end");
}

#[tokio::test]
async fn the_service_starts_while_everything_is_away() {
    let mut servers = Servers::start();
    servers.nats.stop().unwrap();
    servers.redis.stop().unwrap();
    servers.postgres.stop().unwrap();
    let web = Web::start(&servers);
    assert_eq!(web.get("/healthz").await.status(), StatusCode::OK);
    servers.nats.restart().unwrap();
    web.until_part("broker", |state| state == "up").await;
    web.until_part("redis", |state| state.contains("unavailable")).await;
}
