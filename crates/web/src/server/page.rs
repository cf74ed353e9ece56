//! The page: what `make page` built, within the binary.
//!
//! Promises: nothing on it may come from elsewhere or stand in its text as a script, by its
//! Content-Security-Policy; files whose names change with their content are kept by browsers, the
//! others are asked for anew. Where it was not built there is one that says how.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64URL_NOPAD;
use rust_embed::{Embed, EmbeddedFile};

use crate::api;

/// What the page may load and do: its own, and nothing in its text.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);
/// Files with a hash of their content in their name.
const HASHED: &str = "assets/";
const START: &str = "index.html";
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <title>Wegweiser</title><h1>The page is not in this build</h1>\
    <p>The HTTP API is: see <code>docs/api.md</code>. Run <code>make page</code>, which needs \
    Node.js 20, and build <code>wegweiser-web</code> again.</p></html>\n";

/// Read from the disk at run time in debug builds, so that a page is seen as soon as it is built.
#[derive(Embed)]
#[folder = "page/dist"]
#[allow_missing = true]
struct Files;

/// Answers for every path that is none of the API's.
pub(crate) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    if uri.path().starts_with("/v1/") || (is_file && Files::get(path).is_none()) {
        return api::unknown_path(uri).await.into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return api::unknown_method(method).await.into_response();
    }
    // What is no file is a place on the page, which finds it itself.
    let name = if is_file { path } else { START };
    match Files::get(name) {
        Some(file) => show(name, file, &headers),
        None => (StatusCode::OK, policed("text/html; charset=utf-8"), NOT_BUILT).into_response(),
    }
}

fn show(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&file.metadata.sha256_hash()));
    let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    // Browsers take the headers of "not modified" for what they have kept, the policy too.
    let policed = policed(media_type(name));
    let mut response = if known == Some(tag.as_str()) {
        (StatusCode::NOT_MODIFIED, policed).into_response()
    } else {
        (policed, file.data).into_response()
    };
    let keep =
        if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    response
}

fn policed(media_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CONTENT_SECURITY_POLICY, POLICY),
    ])
}

/// By the name's ending; browsers are told to guess at nothing.
fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
