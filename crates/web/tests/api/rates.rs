//! Who asks too often waits, and nobody else does.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use reqwest::{Method, Response, StatusCode};
use storage::ApiToken;

use crate::support::{Servers, Web, token};

/// Requests at once after a pause, at one a second.
const BURST: usize = 5;

async fn asked(web: &Web, token: Option<&ApiToken>) -> Response {
    web.ask(Method::GET, "/v1/token", token).send().await.unwrap()
}

fn assert_waits(response: &Response) {
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let wait: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_token_that_asks_too_often_waits_and_another_does_not() {
    let servers = Servers::with_tables().await;
    let web = Web::start_with(&servers, &[("WEGWEISER_WEB_CALLER_REQUESTS_PER_SECOND", "1")]);
    let other = ApiToken::generate();
    servers.records().create_api_token(&other, token("other")).await.unwrap();
    let (mut answered, mut refused) = (0, None);
    // A machine that takes seconds for these gives some of them back.
    for _ in 0..10 * BURST {
        let response = asked(&web, Some(&servers.admin)).await;
        match response.status() {
            StatusCode::OK => answered += 1,
            _ => {
                refused = Some(response);
                break;
            }
        }
    }
    assert!(answered >= BURST, "{answered}");
    assert_waits(&refused.unwrap());
    assert_eq!(asked(&web, Some(&other)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_address_waits_whoever_it_says_it_is() {
    let servers = Servers::with_tables().await;
    let web = Web::start_with(&servers, &[("WEGWEISER_WEB_ADDRESS_REQUESTS_PER_SECOND", "1")]);
    let mut refused = None;
    for _ in 0..10 * BURST {
        let response = asked(&web, None).await;
        if response.status() != StatusCode::UNAUTHORIZED {
            refused = Some(response);
            break;
        }
    }
    assert_waits(&refused.unwrap());
    // Those of this machine alone are no part of it.
    assert_eq!(web.get("/healthz").await.status(), StatusCode::OK);
}
