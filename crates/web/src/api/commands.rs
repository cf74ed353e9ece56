//! `/v1/commands`: read by viewers, sent and taken back by operators.
//!
//! Promises: a token of one tenant meets that tenant's commands and devices alone; what is sent is
//! in the outbox and in the audit log before the answer; output is read in its order, from any
//! number on. Refuses: to send where there is no key to sign with.

mod change;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use identity::{CommandSigner, command_keys_in};
use protocol::{CommandId, DeviceId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::{CommandFilter, CommandOutput, CommandRow, CommandState, Transition};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Api;
use super::caller::{Caller, Viewer};
use super::query::{UUID_REMEDY, number, parse, parse_some, row_number, words};
use crate::problem::Problem;

/// Commands in an answer where the caller names no number, and most of them.
const LIMIT_DEFAULT_COMMANDS: u32 = 100;
const LIMIT_MAX_COMMANDS: u32 = 1_000;
/// Pieces of output in an answer where the caller names no number, and most of them.
const LIMIT_DEFAULT_PIECES: u32 = 64;
const LIMIT_MAX_PIECES: u32 = 256;
/// Longest name of a kind that is looked for.
const KIND_MAX_CHARS: usize = 64;
const BEFORE_THE_FIRST: i32 = -1;
const AFTER_REMEDY: &str = "give the number that `next` said";
const ID_REMEDY: &str = "give a command's UUID, as GET /v1/commands shows it";

/// Signs what is sent; cheap to clone.
#[derive(Clone)]
pub(crate) struct CommandDesk {
    keys: Option<Arc<PathBuf>>,
}

impl CommandDesk {
    pub(crate) fn new(keys: Option<PathBuf>) -> Self {
        Self { keys: keys.map(Arc::new) }
    }

    /// The keys as they are now, so that a rotation needs no restart.
    fn signer(&self) -> Result<CommandSigner, Problem> {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let Some(keys) = &self.keys else {
            let detail = "this service has no key to sign commands with; its operator sets \
                          WEGWEISER_COMMAND_KEYS, or sends them with: wegweiser command send";
            return Err(Problem::new(status, "no commands here", detail.to_owned()));
        };
        let signer = command_keys_in(keys)
            .map_err(|error| error.to_string())
            .and_then(|keys| CommandSigner::with_keys(keys).map_err(|error| error.to_string()));
        signer.map_err(|error| {
            tracing::error!(error, "commands cannot be signed");
            let detail = "the keys of WEGWEISER_COMMAND_KEYS cannot be used; the service's operator \
                          finds the reason in its log";
            Problem::new(status, "cannot sign", detail.to_owned())
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// To devices of this tenant only.
    #[param(format = Uuid)]
    tenant: Option<String>,
    /// To this device only.
    #[param(format = Uuid)]
    device: Option<String>,
    /// In this state only.
    #[param(value_type = Option<CommandState>)]
    state: Option<String>,
    /// Sent together under this id only.
    #[param(format = Uuid)]
    batch: Option<String>,
    /// Of this kind only.
    #[param(max_length = 64)]
    kind: Option<String>,
    /// `next` of the answer before.
    #[param(value_type = Option<i64>, minimum = 1)]
    before: Option<String>,
    /// Most commands.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OutputQuery {
    /// `next` of the answer before; absent: from the start.
    #[param(value_type = Option<i32>, minimum = -1)]
    after: Option<String>,
    /// Most pieces.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 256, default = 64)]
    limit: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CommandList {
    /// Newest first.
    commands: Vec<CommandRow>,
    /// `before` of the next answer; none: this was the last.
    next: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
struct Whole {
    #[serde(flatten)]
    command: CommandRow,
    transitions: Vec<Transition>,
    /// What its device said at its end.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommandOutputList)]
struct Output {
    state: CommandState,
    output: Vec<CommandOutput>,
    /// `after` of the next answer.
    next: i64,
}

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, change::send))
        .routes(routes!(show))
        .routes(routes!(output))
        .routes(routes!(change::cancel))
}

/// Commands, the newest first.
#[utoipa::path(get, path = "/v1/commands", tag = "commands", params(ListQuery),
    responses((status = 200, description = "The commands.", body = CommandList)))]
async fn list(
    Viewer(caller): Viewer,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<CommandList>, Problem> {
    let Query(query) = query?;
    let limit = query.limit.as_deref();
    let limit = number("limit", limit, LIMIT_DEFAULT_COMMANDS, LIMIT_MAX_COMMANDS)?;
    let state = query.state.as_deref().map(|text| {
        text.parse::<CommandState>().map_err(|remedy| Problem::bad_value("state", text, &remedy))
    });
    let kind = query.kind.as_deref().map(|word| words("kind", word, KIND_MAX_CHARS));
    let filter = CommandFilter {
        tenant: parse_some::<TenantId>("tenant", query.tenant.as_deref(), UUID_REMEDY)?,
        device: parse_some::<DeviceId>("device", query.device.as_deref(), UUID_REMEDY)?,
        state: state.transpose()?,
        batch: parse_some::<Uuid>("batch", query.batch.as_deref(), UUID_REMEDY)?,
        kind: kind.transpose()?,
        before: row_number("before", query.before.as_deref())?,
        limit: limit + 1,
    };
    let mut commands = caller.records().commands(filter).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = commands.len() > limit;
    commands.truncate(limit);
    let next = commands.last().filter(|_| more).map(|last| last.position);
    Ok(Json(CommandList { commands, next }))
}

/// One command: its way and what came of it.
#[utoipa::path(get, path = "/v1/commands/{command}", tag = "commands",
    params(("command" = Uuid, Path)),
    responses(
        (status = 200, description = "The command.", body = Whole),
        (status = 404, description = "No such command here.", body = Problem,
         content_type = "application/problem+json")))]
async fn show(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Whole>, Problem> {
    let Path(text) = path?;
    let command = found(&caller, &text).await?;
    let transitions = caller.records().command_transitions(command.command).await?;
    let result = caller.records().command_end(&command).await?.result;
    Ok(Json(Whole { command, transitions, result }))
}

/// What a command printed, in its order.
#[utoipa::path(get, path = "/v1/commands/{command}/output", tag = "commands",
    params(("command" = Uuid, Path), OutputQuery),
    responses(
        (status = 200, description = "Some of it, and where to go on.", body = Output),
        (status = 404, description = "No such command here.", body = Problem,
         content_type = "application/problem+json")))]
async fn output(
    Viewer(caller): Viewer,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<OutputQuery>, QueryRejection>,
) -> Result<Json<Output>, Problem> {
    let (Path(text), Query(query)) = (path?, query?);
    let limit = query.limit.as_deref();
    let limit = number("limit", limit, LIMIT_DEFAULT_PIECES, LIMIT_MAX_PIECES)?;
    let after: Option<i32> = parse_some("after", query.after.as_deref(), AFTER_REMEDY)?;
    let after = i64::from(after.unwrap_or(BEFORE_THE_FIRST).max(BEFORE_THE_FIRST));
    let command = found(&caller, &text).await?;
    // The state first: output that came before an end is then in this answer or the next.
    let output = caller.records().command_output(&command, after, limit).await?;
    let next = output.last().map_or(after, |last| last.number);
    Ok(Json(Output { state: command.state, output, next }))
}

/// The command, if it is there for the caller.
async fn found(caller: &Caller, text: &str) -> Result<CommandRow, Problem> {
    let command: CommandId = parse("command", text, ID_REMEDY)?;
    let found = caller.records().command(command).await?;
    found.ok_or_else(|| unknown(command))
}

fn unknown(command: CommandId) -> Problem {
    let detail = format!("there is no command {command}; GET /v1/commands lists them");
    Problem::new(StatusCode::NOT_FOUND, "unknown command", detail)
}
