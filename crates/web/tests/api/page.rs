//! The page's files, and what browsers are told of every answer.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use reqwest::{Response, StatusCode};

use crate::support::{Servers, Web};

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn the_page_answers_for_every_place_on_it_and_lets_nothing_else_in() {
    let web = Web::start(&Servers::start());
    for path in ["/", "/devices/01a209ea-501d-7304-8d92-8dc65bb1354e", "/dead-letters?reason=x"] {
        let response = reqwest::get(format!("{}{path}", web.url)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
        let policy = header(&response, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let text = response.text().await.unwrap();
        assert!(text.contains("<title>"), "{text}");
        assert!(!text.contains("<script>"), "a script in its text would not run");
    }
    for path in ["/nothing.js", "/assets/nothing.css", "/v1/nothing", "/../Cargo.toml"] {
        let response = reqwest::get(format!("{}{path}", web.url)).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_page_that_a_browser_has_kept_may_still_load_what_is_its_own() {
    let web = Web::start(&Servers::start());
    let first = reqwest::get(format!("{}/", web.url)).await.unwrap();
    // Where the page was not built there is nothing to keep.
    let Some(tag) = first.headers().get("etag") else { return };
    let again = reqwest::Client::new().get(format!("{}/", web.url)).header("if-none-match", tag);
    let again = again.send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let policy = header(&again, "content-security-policy");
    assert_eq!(policy, header(&first, "content-security-policy"));
}

#[tokio::test]
async fn browsers_are_told_to_guess_frame_and_send_nothing() {
    let web = Web::start(&Servers::start());
    for path in ["/", "/v1/devices", "/v1/openapi.json", "/healthz", "/nothing.js"] {
        let response = reqwest::get(format!("{}{path}", web.url)).await.unwrap();
        assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&response, "x-frame-options"), "DENY", "{path}");
        assert_eq!(header(&response, "referrer-policy"), "no-referrer", "{path}");
        assert!(header(&response, "content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(header(&response, "access-control-allow-origin"), "", "{path}");
        assert_eq!(header(&response, "x-request-id").len(), 36, "{path}");
    }
}
