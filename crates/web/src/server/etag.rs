//! `ETag` and `If-None-Match`: an answer that the caller has already is not sent again.
//!
//! Promises: the tag is of what is answered, byte for byte, so two equal ones are the same answer
//! whichever replica made it.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;

/// Largest answer; our own limits keep them well below.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of the hash that are told: enough that no two answers of one path are taken for another.
const TAG_BYTES: usize = 16;

/// Tags what is read, and leaves out what the caller has.
pub(crate) async fn conditional(request: Request, next: Next) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return next.run(request).await;
    }
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let bytes = match to_bytes(body, ANSWER_MAX_BYTES).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Problem::new(status, "no answer", error.to_string()).into_response();
        }
    };
    let hash = Sha256::digest(&bytes);
    let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&hash[..TAG_BYTES]));
    let is_known = known.is_some_and(|known| names(&known, &tag));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        head.headers.insert(ETAG, tag);
    }
    if is_known {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(bytes))
}

/// Whether the tag is among those of the header.
fn names(header: &HeaderValue, tag: &str) -> bool {
    let Ok(text) = header.to_str() else { return false };
    text.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
