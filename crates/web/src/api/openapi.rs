//! The OpenAPI 3.1 document: what the handlers say of themselves, and what holds for all of them.
//!
//! Promises: a path is in the document if and only if it is served below `/v1`, for both are made
//! of the same handlers; each operation names every status that it may have, those that come from
//! what a request passes before its handler included.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, Paths};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, OpenApi, Ref, RefOr, Response, ResponseBuilder, SecurityRequirement,
};
use utoipa_axum::router::OpenApiRouter;

use super::session::COOKIE;
use crate::problem::Problem;

/// Where the document is.
const PATH: &str = "/v1/openapi.json";
const BEARER: &str = "token";
const SESSION: &str = "session";
/// What any request may be answered with, whatever it asks for.
const ALWAYS: [(&str, &str); 6] = [
    ("400", "Something in the request has to be corrected; `field` says what."),
    ("405", "The path knows no such method."),
    ("413", "The body is too large, or none is taken here."),
    ("414", "The URL is too long."),
    ("429", "Too many requests; try again after `Retry-After` seconds."),
    ("503", "A server that is needed for the answer is away; `detail` says which."),
];
/// What a request that has to be signed in for may be answered with.
const SIGNED_IN: [(&str, &str); 2] = [
    ("401", "Nobody is signed in, or the token or session is good no more."),
    ("403", "The role is too low, or the request comes from another site."),
];

/// A router that begins a document.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S> {
    let mut info = Info::new("Wegweiser", env!("CARGO_PKG_VERSION"));
    info.description = Some("A fleet's devices, their data, and what went wrong.".to_owned());
    let mut document = OpenApi::new(info, Paths::new());
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(COOKIE));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(cookie));
    components.schemas.insert("Problem".to_owned(), Problem::schema());
    OpenApiRouter::with_openapi(document)
}

/// The routes, with the one that serves the document of them all.
pub(crate) fn with_document(routes: OpenApiRouter) -> Router {
    let (router, mut document) = routes.split_for_parts();
    complete(&mut document);
    // Whatever cannot be written is a mistake in the code, which a test of the document sees.
    let text: Arc<str> = document.to_pretty_json().unwrap_or_default().into();
    let show = move || {
        let text = text.to_string();
        async move { ([(CONTENT_TYPE, "application/json")], text) }
    };
    router.route(PATH, get(show))
}

/// Adds to each operation what holds for all.
fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        if let Some(operation) = &mut item.get {
            let unchanged = Response::new("The caller has it already, by `If-None-Match`.");
            let answers = &mut operation.responses.responses;
            answers.entry("304".to_owned()).or_insert_with(|| RefOr::T(unchanged));
        }
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            complete_operation(operation);
        }
    }
}

fn complete_operation(operation: &mut Operation) {
    // A handler that asks for no sign-in says so with `security(())`.
    let is_open = operation.security.as_deref() == Some(&[SecurityRequirement::default()]);
    let signed_in = if is_open { &[][..] } else { &SIGNED_IN[..] };
    if operation.security.is_none() {
        let needs = |scheme| SecurityRequirement::new(scheme, [""; 0]);
        operation.security = Some(vec![needs(BEARER), needs(SESSION)]);
    }
    let answers: &mut BTreeMap<String, RefOr<Response>> = &mut operation.responses.responses;
    for (status, text) in ALWAYS.iter().chain(signed_in) {
        answers.entry((*status).to_owned()).or_insert_with(|| RefOr::T(problem(text)));
    }
}

fn problem(text: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(text).content("application/problem+json", content).build()
}
