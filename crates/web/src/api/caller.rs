//! Who asks: the token of the `Authorization` header, and what it is worth.
//!
//! Promises: a handler that takes a [`Viewer`], an [`Operator`] or an [`Admin`] runs only for a token
//! of at least that role, and gets at records within that token's scope alone: there is no other way
//! to them.
//! Each request asks the database, so that a revoked token ends with the next one.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use storage::{ApiRole, ApiToken, ApiTokenRefusal, Records, Scope, WalledRecords};

use super::Api;
use crate::problem::Problem;
use uuid::Uuid;

/// Somebody with a good token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    records: Records,
    pub(crate) scope: Scope,
    pub(crate) role: ApiRole,
    /// Who it is, as whoever made the token said.
    pub(crate) name: String,
    token: Uuid,
}

impl Caller {
    /// The records within his scope.
    pub(crate) const fn records(&self) -> &Records {
        &self.records
    }

    /// As the audit log names him.
    pub(crate) fn who(&self) -> String {
        format!("{} by API token {}", self.name, self.token)
    }

    async fn of(parts: &Parts, walled: &WalledRecords) -> Result<Self, Problem> {
        let token = token(parts)?;
        let known = walled.within(Scope::Nobody).known_api_token(&token).await?;
        let Some(known) = known else {
            return Err(Problem::no_sign_in("nobody made this token, or its tenant is gone"));
        };
        if let Some(refusal) = known.refusal {
            return Err(Problem::no_sign_in(match refusal {
                ApiTokenRefusal::Expired => "the time of this token is over",
                ApiTokenRefusal::Revoked => "this token was revoked",
                ApiTokenRefusal::Suspended => "the tenant of this token is suspended",
            }));
        }
        Ok(Self {
            records: walled.within(known.scope),
            scope: known.scope,
            role: known.role,
            name: known.name,
            token: known.id,
        })
    }

    async fn at_least(role: ApiRole, parts: &Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Self::of(parts, &api.walled).await?;
        if caller.role < role {
            return Err(Problem::role_too_low(caller.role, role));
        }
        Ok(caller)
    }
}

/// May read.
pub(crate) struct Viewer(pub(crate) Caller);

/// May replay and discard too.
pub(crate) struct Operator(pub(crate) Caller);

/// May do everything.
pub(crate) struct Admin(pub(crate) Caller);

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

fn token(parts: &Parts) -> Result<ApiToken, Problem> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return Err(Problem::no_sign_in("there is no Authorization header"));
    };
    let text = header.to_str().ok().and_then(|text| text.split_once(' '));
    let token = text
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, token)| ApiToken::parse(token.trim()));
    token.ok_or_else(|| Problem::no_sign_in("the Authorization header holds no token of ours"))
}
