//! Who asks: the token of the `Authorization` header or the session of the cookie, and what it is
//! worth.
//!
//! Promises: a handler that takes a [`Viewer`], an [`Operator`] or an [`Admin`] runs only for a caller
//! of at least that role, and gets at records within the caller's scope alone: there is no other way
//! to them. Each request asks the database, so that a revoked token ends with the next one. With a
//! cookie, a request that may change something comes from our own page or not at all. Who asks too
//! often is told to wait.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use storage::{ApiRole, ApiToken, ApiTokenRefusal, Records, Scope, SessionToken};
use uuid::Uuid;

use super::{Api, session};
use crate::problem::Problem;

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    records: Records,
    pub(crate) scope: Scope,
    pub(crate) role: ApiRole,
    /// Who it is, as whoever made the token or the user said.
    pub(crate) name: String,
    shown: Shown,
    id: Uuid,
}

/// What somebody showed.
#[derive(Clone, Debug)]
enum Shown {
    Token(ApiToken),
    Session(SessionToken),
}

impl Caller {
    /// The records within his scope.
    pub(crate) const fn records(&self) -> &Records {
        &self.records
    }

    /// As the audit log names him.
    pub(crate) fn who(&self) -> String {
        let by = match self.shown {
            Shown::Token(_) => "API token",
            Shown::Session(_) => "session",
        };
        format!("{} by {by} {}", self.name, self.id)
    }

    /// Whether what he showed is good no more; not where nobody can tell now.
    pub(crate) async fn is_refused(&self, api: &Api) -> bool {
        let now = Self::by(self.shown.clone(), api).await;
        match now {
            Ok(now) => now.scope != self.scope || now.role != self.role,
            Err(problem) => problem.is_no_sign_in(),
        }
    }

    async fn of(parts: &Parts, api: &Api, strict: bool) -> Result<Self, Problem> {
        let shown = shown(&parts.headers)?;
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        if matches!(shown, Shown::Session(_)) && (strict || !reads) {
            session::same_origin(&parts.headers)?;
        }
        let caller = Self::by(shown, api).await?;
        api.rates.caller(caller.id)?;
        Ok(caller)
    }

    async fn by(shown: Shown, api: &Api) -> Result<Self, Problem> {
        match &shown {
            Shown::Token(token) => {
                let known = api.walled.within(Scope::Nobody).known_api_token(token).await?;
                let Some(known) = known else {
                    let why = "nobody made this token, or its tenant is gone";
                    return Err(Problem::no_sign_in(why));
                };
                if let Some(refusal) = known.refusal {
                    return Err(refused("token", refusal));
                }
                let records = api.walled.within(known.scope);
                let (scope, role) = (known.scope, known.role);
                Ok(Self { records, scope, role, name: known.name, shown, id: known.id })
            }
            Shown::Session(token) => {
                let known = session::known(api, token).await?;
                let records = api.walled.within(known.scope);
                let (scope, role) = (known.scope, known.role);
                Ok(Self { records, scope, role, name: known.name, shown, id: known.id })
            }
        }
    }

    async fn at_least(role: ApiRole, parts: &Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Self::of(parts, api, false).await?;
        if caller.role < role {
            return Err(Problem::role_too_low(caller.role, role));
        }
        Ok(caller)
    }
}

/// Why what was shown is good for nothing.
pub(super) fn refused(what: &str, refusal: ApiTokenRefusal) -> Problem {
    Problem::no_sign_in(&match refusal {
        ApiTokenRefusal::Expired => format!("the time of this {what} is over"),
        ApiTokenRefusal::Revoked => format!("this {what} was revoked"),
        ApiTokenRefusal::Suspended => format!("the tenant of this {what} is suspended"),
    })
}

/// May read.
pub(crate) struct Viewer(pub(crate) Caller);

/// May replay and discard too.
pub(crate) struct Operator(pub(crate) Caller);

/// May do everything.
pub(crate) struct Admin(pub(crate) Caller);

/// May read, over a socket: no page of another site may open one with the cookie.
pub(crate) struct LiveCaller(pub(crate) Caller);

impl FromRequestParts<Api> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Caller::at_least(ApiRole::Viewer, parts, api).await.map(Self)
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Caller::at_least(ApiRole::Operator, parts, api).await.map(Self)
    }
}

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Caller::at_least(ApiRole::Admin, parts, api).await.map(Self)
    }
}

impl FromRequestParts<Api> for LiveCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Caller::of(parts, api, true).await.map(Self)
    }
}

fn shown(headers: &HeaderMap) -> Result<Shown, Problem> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        let session = session::shown(headers).map(Shown::Session);
        return session
            .ok_or_else(|| Problem::no_sign_in("there is no Authorization header and no session"));
    };
    let text = header.to_str().ok().and_then(|text| text.split_once(' '));
    let token = text
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| ApiToken::parse(token.trim()));
    let token = token.map(Shown::Token);
    token.ok_or_else(|| Problem::no_sign_in("the Authorization header holds no token of ours"))
}
