//! Sending a command, and taking one back.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use broker::commands::CommandSender;
use protocol::command::OrderError;
use protocol::{CommandId, DeviceId, Order, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::{
    CancelError, Cancelled, CommandTarget, NotOrdered, NotPrepared, TargetFilter, WantedOrder,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{found, unknown};
use crate::api::Api;
use crate::api::caller::Operator;
use crate::problem::Problem;

/// Most devices of one request: more do not fit a body, and `wegweiser command send` takes them.
const DEVICES_MAX: usize = 256;
/// For how long a device may take a command where the caller does not say.
const LIFE_DEFAULT: Duration = Duration::from_secs(3_600);
/// Longest such time, and longest time to run.
const LIFE_MAX_SECONDS: u64 = 604_800;
const TIMEOUT_MAX_SECONDS: u64 = 3_600;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CommandRequest)]
pub(super) struct SendRequest {
    /// To whom.
    #[schema(value_type = Vec<Uuid>, min_items = 1, max_items = 256)]
    devices: Vec<DeviceId>,
    /// What to do, as `wegweiser command kinds` lists it.
    #[schema(example = "ping")]
    kind: String,
    /// With what, by the kind's schema.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    arguments: Value,
    /// For how long a device that is away may still take it.
    #[schema(minimum = 1, maximum = 604_800, default = 3_600)]
    expires_seconds: Option<u64>,
    /// How long it may run; absent: as long as is usual for its kind.
    #[schema(minimum = 1, maximum = 3_600)]
    timeout_seconds: Option<u64>,
}

/// What was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SentBatch {
    batch: Uuid,
    commands: Vec<SentCommand>,
}

#[derive(Debug, Serialize, ToSchema)]
struct SentCommand {
    #[schema(value_type = Uuid)]
    command: CommandId,
    #[schema(value_type = Uuid)]
    tenant: TenantId,
    #[schema(value_type = Uuid)]
    device: DeviceId,
}

/// What became of a command that was taken back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommandCancelled)]
pub(super) struct Taken {
    #[schema(value_type = Uuid)]
    command: CommandId,
    #[serde(flatten)]
    outcome: Cancelled,
}

/// Sends a command to devices.
#[utoipa::path(post, path = "/v1/commands", tag = "commands", request_body = SendRequest,
    responses(
        (status = 202, description = "It is ordered, and will be sent.", body = SentBatch),
        (status = 404, description = "One of the devices is not there.", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "One of the devices cannot be sent it, or too much waits.", body = Problem,
         content_type = "application/problem+json")))]
pub(super) async fn send(
    Operator(caller): Operator,
    State(api): State<Api>,
    request: Result<Json<SendRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<SentBatch>), Problem> {
    let Json(mut request) = request?;
    let signer = api.commands.signer()?;
    let order = order(&request)?;
    request.devices.sort_unstable();
    request.devices.dedup();
    let wanted = WantedOrder {
        order,
        timeout: span("timeout_seconds", request.timeout_seconds, TIMEOUT_MAX_SECONDS)?,
        life: span("expires_seconds", request.expires_seconds, LIFE_MAX_SECONDS)?
            .unwrap_or(LIFE_DEFAULT),
        requester: caller.who(),
    };
    let mut commands = Vec::with_capacity(request.devices.len());
    for target in targets(caller.records(), &request.devices).await? {
        commands.push(wanted.prepare(&target, &signer).map_err(not_prepared)?);
    }
    let batch = Uuid::now_v7();
    let ordered = caller.records().order_commands(batch, &caller.who(), &commands).await;
    ordered.map_err(not_ordered)?;
    let sent = |one: &storage::NewCommand| SentCommand {
        command: one.command,
        tenant: one.tenant,
        device: one.device,
    };
    let commands = commands.iter().map(sent).collect();
    Ok((StatusCode::ACCEPTED, Json(SentBatch { batch, commands })))
}

fn order(request: &SendRequest) -> Result<Order, Problem> {
    Order::parse(&request.kind, &request.arguments).map_err(|error| match &error {
        OrderError::UnknownKind(_) => {
            Problem::bad_value("kind", &request.kind, "wegweiser command kinds lists them")
        }
        OrderError::Arguments { problem, .. } => {
            Problem::bad_value("arguments", &request.arguments.to_string(), problem)
        }
    })
}

fn span(field: &'static str, seconds: Option<u64>, most: u64) -> Result<Option<Duration>, Problem> {
    let Some(seconds) = seconds else { return Ok(None) };
    if !(1..=most).contains(&seconds) {
        let remedy = format!("give 1 to {most}");
        return Err(Problem::bad_value(field, &seconds.to_string(), &remedy));
    }
    Ok(Some(Duration::from_secs(seconds)))
}

/// Every device that is named, once, or the first that is not there for the caller.
async fn targets(
    records: &storage::Records,
    devices: &[DeviceId],
) -> Result<Vec<CommandTarget>, Problem> {
    if devices.is_empty() || devices.len() > DEVICES_MAX {
        let remedy = format!("give 1 to {DEVICES_MAX} devices, or use: wegweiser command send");
        return Err(Problem::bad_value("devices", &devices.len().to_string(), &remedy));
    }
    let filter = TargetFilter { devices: Some(devices.to_vec()), ..TargetFilter::default() };
    let most = u32::try_from(DEVICES_MAX * 2).unwrap_or(u32::MAX);
    let targets = records.command_targets(&filter, most).await?;
    for device in devices {
        match targets.iter().filter(|target| target.device == *device).count() {
            1 => {}
            0 => return Err(Problem::unknown_device(*device)),
            _ => return Err(Problem::ambiguous_device(*device)),
        }
    }
    Ok(targets)
}

/// Takes a command back, or has its device end it.
#[utoipa::path(post, path = "/v1/commands/{command}/cancel", tag = "commands",
    params(("command" = Uuid, Path)),
    responses(
        (status = 200, description = "What became of it.", body = Taken),
        (status = 404, description = "No such command here.", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "Its device cannot be told.", body = Problem,
         content_type = "application/problem+json")))]
pub(super) async fn cancel(
    Operator(caller): Operator,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Taken>, Problem> {
    let Path(text) = path?;
    let command = found(&caller, &text).await?.command;
    let signer = api.commands.signer()?;
    let sender = CommandSender::new(api.broker()?.clone());
    let take_out = async |device, sequence| {
        sender.take_out(device, sequence).await.map_err(|error| error.to_string())
    };
    let taken = caller.records().cancel_command(command, &caller.who(), &signer, take_out).await;
    let outcome = taken.map_err(|error| match error {
        CancelError::Unavailable(away) => away.into(),
        CancelError::NotPrepared(error) => not_prepared(error),
        CancelError::NotOrdered(error) => not_ordered(error),
        CancelError::Unknown(command) => unknown(command),
        CancelError::Broker(detail) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server unavailable", detail)
        }
    })?;
    Ok(Json(Taken { command, outcome }))
}

fn not_ordered(error: NotOrdered) -> Problem {
    match error {
        NotOrdered::Unavailable(away) => away.into(),
        NotOrdered::DeviceFull { .. } | NotOrdered::RequesterFull { .. } => {
            Problem::new(StatusCode::CONFLICT, "too many wait", error.to_string())
        }
    }
}

fn not_prepared(error: NotPrepared) -> Problem {
    let detail = error.to_string();
    match error {
        NotPrepared::ShutOut(_) | NotPrepared::NotAllowed { .. } => {
            Problem::new(StatusCode::CONFLICT, "device not reachable", detail)
        }
        NotPrepared::UnknownThere { .. } | NotPrepared::Terms(_) | NotPrepared::TooLong(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "bad command", detail)
        }
        NotPrepared::Signing(error) => {
            tracing::error!(%error, "a command cannot be signed");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "cannot sign", detail)
        }
    }
}
