//! `/v1/session`: people sign in with a browser, which then shows a cookie.
//!
//! Promises: what is wrong with a name, a password or a link is never told apart, in words or in
//! time; who was wrong too often has to wait; the cookie is for this origin, for no script, and is
//! not sent along by pages of others. Refuses: to write what somebody signs in with anywhere.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header::{COOKIE as COOKIE_HEADER, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use protocol::TenantId;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use storage::{
    ApiRole, ApiToken, KnownSession, LinkToken, OpenedBy, SESSION_SECONDS, Scope, SessionToken,
    SignInWith,
};
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::refused;
use super::query::words;
use crate::guard::Peer;
use crate::problem::Problem;

/// Name of the cookie; the prefix has browsers refuse it from anywhere but this origin's root.
pub(super) const COOKIE: &str = "__Host-wegweiser";
/// Passwords that are hashed at one time: each takes 19 MiB and a core.
static HASHING: Semaphore = Semaphore::const_new(2);
/// Longest name of a user.
const NAME_MAX_CHARS: usize = 128;
const WRONG: &str = "this signs nobody in; check it, or have an admin make a new one";

/// What somebody signs in with: a token, a link, or name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// A token of the API.
    #[schema(nullable = false, format = Password)]
    token: Option<String>,
    /// What the link of the first start ends with.
    #[schema(nullable = false, format = Password)]
    link: Option<String>,
    #[schema(nullable = false, max_length = 128)]
    name: Option<String>,
    #[schema(nullable = false, format = Password)]
    password: Option<String>,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    name: String,
    /// None: all.
    #[schema(value_type = Option<uuid::Uuid>)]
    tenant: Option<TenantId>,
    role: ApiRole,
    /// In milliseconds since 1970.
    expires_at: i64,
    by: OpenedBy,
    /// Whether a password has to be set before the session ends, or nobody gets in again.
    needs_password: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// 12 to 256 characters.
    #[schema(min_length = 12, max_length = 256, format = Password)]
    password: String,
    /// The one until now, where there is one.
    #[schema(nullable = false, format = Password)]
    current: Option<String>,
}

impl From<KnownSession> for Session {
    fn from(known: KnownSession) -> Self {
        Self {
            name: known.name,
            tenant: known.scope.tenant(),
            role: known.role,
            expires_at: known.expires_at.get(),
            by: known.opened_by,
            needs_password: known.needs_password,
        }
    }
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show, sign_in, sign_out)).routes(routes!(set_password))
}

/// Who is signed in.
#[utoipa::path(get, path = "/v1/session", tag = "sign-in", security(("session" = [])),
    responses((status = 200, description = "Who.", body = Session)))]
async fn show(State(api): State<Api>, headers: HeaderMap) -> Result<Json<Session>, Problem> {
    let session = shown(&headers).ok_or_else(|| Problem::no_sign_in("there is no session"))?;
    Ok(Json(known(&api, &session).await?.into()))
}

/// Signs in: sets the cookie of a session.
#[utoipa::path(post, path = "/v1/session", tag = "sign-in", security(()), request_body = SignIn,
    responses(
        (status = 200, description = "Who is signed in now.", body = Session,
         headers(("Set-Cookie" = String))),
        (status = 401, description = "Nobody is signed in by that.", body = Problem,
         content_type = "application/problem+json"),
        (status = 403, description = "A page of another site asks.", body = Problem,
         content_type = "application/problem+json")))]
async fn sign_in(
    State(api): State<Api>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Json<SignIn>, JsonRejection>,
) -> Result<Response, Problem> {
    if headers.contains_key(ORIGIN) {
        same_origin(&headers)?;
    }
    let Json(body) = body?;
    let name = body.name.as_deref();
    if let Some(wait) = api.lockout.wait(name, peer) {
        return Err(Problem::locked_out(wait));
    }
    let session = SessionToken::generate();
    if !opened(&api, &session, &body).await? {
        api.lockout.was_wrong(name, peer);
        tracing::info!(%peer, "sign-in refused");
        return Err(Problem::no_sign_in(WRONG));
    }
    if let Some(name) = name {
        api.lockout.was_right(name);
    }
    let known = known(&api, &session).await?;
    tracing::info!(%peer, session = %known.id, "signed in");
    let cookie = cookie(session.expose(), SESSION_SECONDS)?;
    Ok(([(SET_COOKIE, cookie)], Json(Session::from(known))).into_response())
}

/// Signs out: the session is over.
#[utoipa::path(delete, path = "/v1/session", tag = "sign-in", security(("session" = [])),
    responses((status = 204, description = "It is over.")))]
async fn sign_out(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let session = shown(&headers).ok_or_else(|| Problem::no_sign_in("there is no session"))?;
    same_origin(&headers)?;
    api.walled.within(Scope::Nobody).end_session(&session).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie("", 0)?)]).into_response())
}

/// Sets the password of who is signed in, and ends all other sessions of the same user.
#[utoipa::path(put, path = "/v1/session/password", tag = "sign-in", security(("session" = [])),
    request_body = NewPassword,
    responses(
        (status = 204, description = "It is set."),
        (status = 409, description = "The session is of a token, which has no password.",
         body = Problem, content_type = "application/problem+json")))]
async fn set_password(
    State(api): State<Api>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Json<NewPassword>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let session = shown(&headers).ok_or_else(|| Problem::no_sign_in("there is no session"))?;
    same_origin(&headers)?;
    let Json(body) = body?;
    let known = known(&api, &session).await?;
    let records = api.walled.within(Scope::Nobody);
    if known.opened_by == OpenedBy::Token {
        let detail = "this session is of a token of the API, which has no password".to_owned();
        return Err(Problem::new(StatusCode::CONFLICT, "no password here", detail));
    }
    if !known.needs_password {
        if let Some(wait) = api.lockout.wait(Some(&known.name), peer) {
            return Err(Problem::locked_out(wait));
        }
        let hash = records.password_of(&known.name).await?.map(|(_, hash)| hash);
        let current = SecretString::from(body.current.unwrap_or_default());
        if !hashing(move || storage::is_password(&current, hash.as_deref())).await? {
            api.lockout.was_wrong(Some(&known.name), peer);
            let problem = Problem::no_sign_in("this is not the password until now");
            return Err(problem.about("current"));
        }
    }
    let password = SecretString::from(body.password);
    let hash = hashing(move || storage::hash_password(&password)).await?;
    let hash = hash.map_err(|error| {
        let detail = error.to_string();
        Problem::new(StatusCode::BAD_REQUEST, "bad value", detail).about("password")
    })?;
    records.set_own_password(&session, &hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether what was shown opened the session.
async fn opened(api: &Api, session: &SessionToken, body: &SignIn) -> Result<bool, Problem> {
    let records = api.walled.within(Scope::Nobody);
    match (&body.token, &body.link, &body.name, &body.password) {
        (Some(token), None, None, None) => {
            let Some(token) = ApiToken::parse(token.trim()) else { return Ok(false) };
            Ok(records.open_session(session, SignInWith::Token(&token)).await?)
        }
        (None, Some(link), None, None) => {
            let Some(link) = LinkToken::parse(link.trim()) else { return Ok(false) };
            Ok(records.open_session(session, SignInWith::Link(&link)).await?)
        }
        (None, None, Some(name), Some(password)) => {
            let name = words("name", name, NAME_MAX_CHARS)?;
            let found = records.password_of(name).await?;
            let (user, hash) = found.unzip();
            let password = SecretString::from(password.as_str());
            if !hashing(move || storage::is_password(&password, hash.as_deref())).await? {
                return Ok(false);
            }
            let Some(user) = user else { return Ok(false) };
            Ok(records.open_session(session, SignInWith::User(user)).await?)
        }
        _ => {
            let detail = "give either token, or link, or name and password".to_owned();
            Err(Problem::new(StatusCode::BAD_REQUEST, "bad body", detail))
        }
    }
}

/// Runs what takes a core for a while, beside the requests of others.
async fn hashing<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let stopped = |_: &dyn std::error::Error| {
        let detail = "this service is stopping".to_owned();
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail)
    };
    let _permit = HASHING.acquire().await.map_err(|error| stopped(&error))?;
    tokio::task::spawn_blocking(work).await.map_err(|error| stopped(&error))
}

/// What the session of the cookie is worth; refuses one that is over.
pub(super) async fn known(api: &Api, session: &SessionToken) -> Result<KnownSession, Problem> {
    let known = api.walled.within(Scope::Nobody).known_session(session).await?;
    let known = known.ok_or_else(|| Problem::no_sign_in("this session is over"))?;
    match known.refusal {
        Some(refusal) => Err(refused("session", refusal)),
        None => Ok(known),
    }
}

/// The session of the cookie.
pub(super) fn shown(headers: &HeaderMap) -> Option<SessionToken> {
    for header in headers.get_all(COOKIE_HEADER) {
        for pair in header.to_str().ok()?.split(';') {
            if let Some((COOKIE, text)) = pair.trim().split_once('=') {
                return SessionToken::parse(text);
            }
        }
    }
    None
}

/// Refuses what a page of another site had a browser send.
pub(super) fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let origin = text(ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    match (origin, text(HOST)) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => {
            let detail = "with the cookie of a session, Origin has to be this service's own; \
                          programs send a token instead";
            Err(Problem::new(StatusCode::FORBIDDEN, "other origin", detail.to_owned()))
        }
    }
}

fn cookie(session: &str, seconds: i64) -> Result<HeaderValue, Problem> {
    let text =
        format!("{COOKIE}={session}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    let mut value = HeaderValue::try_from(text).map_err(|error| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Problem::new(status, "no session", error.to_string())
    })?;
    value.set_sensitive(true);
    Ok(value)
}
