//! Tenants, and devices' credentials: what operators decided, read only.
//!
//! Refuses: to revoke, rotate, suspend or resume. Each has to be signed with keys that this service
//! does not hold; the answer says what to run where they are.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use protocol::{DeviceId, TenantId};
use serde::Serialize;
use storage::{DeviceState, NotedCredential, RegistryTenant, TenantState};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::caller::{Admin, Caller, Viewer};
use super::history::known;
use super::query::{NoQuery, UUID_REMEDY, parse};
use crate::problem::Problem;

#[derive(Debug, Serialize, ToSchema)]
struct TenantList {
    tenants: Vec<RegistryTenant>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Credentials {
    #[schema(value_type = uuid::Uuid)]
    device: DeviceId,
    state: DeviceState,
    tenant_state: TenantState,
    /// `device` or `device-first-generation`.
    role: String,
    /// Newest first.
    credentials: Vec<NotedCredential>,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(tenants))
        .routes(routes!(tenant))
        .routes(routes!(suspend))
        .routes(routes!(resume))
        .routes(routes!(credentials))
        .routes(routes!(revoke))
        .routes(routes!(rotate))
}

/// Tenants.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants",
    responses((status = 200, description = "The tenants.", body = TenantList)))]
async fn tenants(
    Viewer(caller): Viewer,
    query: Result<Query<NoQuery>, QueryRejection>,
) -> Result<Json<TenantList>, Problem> {
    query?;
    Ok(Json(TenantList { tenants: caller.records().tenants().await? }))
}

/// One tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The tenant.", body = RegistryTenant),
        (status = 404, description = "No such tenant here.", body = Problem,
         content_type = "application/problem+json")))]
async fn tenant(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<RegistryTenant>, Problem> {
    let Path(tenant) = path?;
    Ok(Json(known_tenant(&caller, &tenant).await?))
}

/// Shuts a tenant out. This service cannot; the answer says who can.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/suspend", tag = "tenants",
    params(("tenant" = uuid::Uuid, Path)),
    responses(
        (status = 404, description = "No such tenant here.", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "To be run elsewhere.", body = Problem,
         content_type = "application/problem+json")))]
async fn suspend(
    Admin(caller): Admin,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(tenant) = path?;
    let tenant = known_tenant(&caller, &tenant).await?.tenant;
    Err(elsewhere(&format!("wegweiser tenant suspend {tenant}")))
}

/// Lets a tenant in again. This service cannot; the answer says who can.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/resume", tag = "tenants",
    params(("tenant" = uuid::Uuid, Path)),
    responses(
        (status = 404, description = "No such tenant here.", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "To be run elsewhere.", body = Problem,
         content_type = "application/problem+json")))]
async fn resume(
    Admin(caller): Admin,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(tenant) = path?;
    let tenant = known_tenant(&caller, &tenant).await?.tenant;
    Err(elsewhere(&format!("wegweiser tenant resume {tenant}")))
}

/// Every credential that a device was given.
#[utoipa::path(get, path = "/v1/devices/{device}/credentials", tag = "devices",
    params(("device" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The credentials.", body = Credentials),
        (status = 404, description = "No such device here, or it is not registered.",
         body = Problem, content_type = "application/problem+json")))]
async fn credentials(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Credentials>, Problem> {
    let Path(device) = path?;
    let device: DeviceId = parse("device", &device, UUID_REMEDY)?;
    let found = caller.records().registered_device(device).await?;
    let found = found.ok_or_else(|| Problem::unknown_device(device))?;
    Ok(Json(Credentials {
        device,
        state: found.state,
        tenant_state: found.tenant_state,
        role: found.role,
        credentials: caller.records().credentials(device).await?,
    }))
}

/// Has a device's credentials refused. This service cannot; the answer says who can.
#[utoipa::path(post, path = "/v1/devices/{device}/revoke", tag = "devices",
    params(("device" = uuid::Uuid, Path)),
    responses(
        (status = 404, description = "No such device here.", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "To be run elsewhere.", body = Problem,
         content_type = "application/problem+json")))]
async fn revoke(
    Admin(caller): Admin,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(device) = path?;
    let device = known(&caller, &device).await?;
    Err(elsewhere(&format!("wegweiser device revoke {device}")))
}

/// Gives a device new credentials. This service cannot; the answer says who can.
#[utoipa::path(post, path = "/v1/devices/{device}/rotate", tag = "devices",
    params(("device" = uuid::Uuid, Path)),
    responses(
        (status = 404, description = "No such device here.", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "To be run elsewhere.", body = Problem,
         content_type = "application/problem+json")))]
async fn rotate(
    Admin(caller): Admin,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(device) = path?;
    let device = known(&caller, &device).await?;
    Err(elsewhere(&format!("wegweiser device rotate {device}")))
}

async fn known_tenant(caller: &Caller, text: &str) -> Result<RegistryTenant, Problem> {
    let tenant: TenantId = parse("tenant", text, UUID_REMEDY)?;
    let found = caller.records().tenant(tenant).await?;
    found.ok_or_else(|| Problem::unknown_tenant(tenant))
}

fn elsewhere(command: &str) -> Problem {
    let detail = "this has to be signed with keys that this service does not hold; \
                  run the command where the key directory is";
    Problem::new(StatusCode::CONFLICT, "not here", detail.to_owned()).with_remedy(command)
}
