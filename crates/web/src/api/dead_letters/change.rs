//! Sending a letter's original again, and discarding a letter.
//!
//! The order is that of `wegweiser dlq`: the intention in the audit log, the deed, the result in
//! the log, the letter gone. A cut between any two leaves the letter, and asking again does the
//! rest without a second effect.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use broker::dead_letters::{Letter, STREAM, SendError, Sent};
use protocol::{DeviceSubject, headers};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::AuditEntry;
use utoipa::{IntoParams, ToSchema};

use super::letter;
use crate::api::Api;
use crate::api::caller::{Caller, Operator};
use crate::problem::Problem;

const SENT: &str = "sent again, removed";
const THERE: &str = "was sent before and is there, removed";
const APPLIED: &str = "had its effect before it was parked, removed";
/// Longest reason, in bytes.
const BECAUSE_MAX_BYTES: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplayQuery {
    /// Say only what would happen.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DiscardQuery {
    /// Why, in words.
    #[serde(default)]
    #[param(required = true, min_length = 1, max_length = 500)]
    because: String,
}

/// What became of a letter.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Changed {
    sequence: u64,
    outcome: &'static str,
}

/// Sends a letter's original again and removes the letter.
#[utoipa::path(post, path = "/v1/dead-letters/{sequence}/replay", tag = "dead letters",
    params(("sequence" = u64, Path, minimum = 1), ReplayQuery),
    responses(
        (status = 200, description = "What became of it.", body = Changed),
        (status = 404, description = "No such letter here.", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "It was kept; `detail` says why.", body = Problem,
         content_type = "application/problem+json")))]
pub(super) async fn replay(
    Operator(caller): Operator,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<ReplayQuery>, QueryRejection>,
) -> Result<Json<Changed>, Problem> {
    let (Path(text), Query(query)) = (path?, query?);
    let broker = api.broker()?;
    let letter = letter(broker, &caller, &text).await?;
    if let Err(never) = letter.origin_subject() {
        return Err(kept(&never.to_string()));
    }
    let is_applied = is_applied(&caller, &letter).await?;
    let changed = |outcome| Json(Changed { sequence: letter.sequence, outcome });
    if query.dry_run {
        return Ok(changed(if is_applied {
            "had its effect before it was parked: would be removed"
        } else {
            "would be sent again and removed"
        }));
    }
    let action = "dlq replay";
    let (outcome, detail) = if is_applied {
        note(&caller, action, &letter, described(&letter, "removing, its effect is there")).await?;
        (APPLIED, json!({ "outcome": APPLIED }))
    } else {
        let mut intention = described(&letter, "sending");
        intention["sent_as"] = Value::from(letter.replay_id());
        note(&caller, action, &letter, intention).await?;
        api.replays.turn().await;
        let sent = broker.send_again(&letter).await.map_err(|error| match error {
            SendError::NotSendable(never) => kept(&never.to_string()),
            SendError::Letter(error) => error.into(),
        })?;
        match sent.outcome().await? {
            Sent::Taken { stream, sequence } => {
                (SENT, json!({ "outcome": SENT, "stream": stream, "sequence": sequence }))
            }
            Sent::There { stream, sequence } => {
                (THERE, json!({ "outcome": THERE, "stream": stream, "sequence": sequence }))
            }
            Sent::Duplicate => {
                let why = "its id is still within the stream's duplicate window; try later";
                note(&caller, action, &letter, json!({ "outcome": format!("kept: {why}") }))
                    .await?;
                return Err(kept(why));
            }
        }
    };
    note(&caller, action, &letter, detail).await?;
    broker.remove_dead_letter(letter.sequence).await?;
    Ok(changed(outcome))
}

/// Removes a letter; its original is lost with it.
#[utoipa::path(post, path = "/v1/dead-letters/{sequence}/discard", tag = "dead letters",
    params(("sequence" = u64, Path, minimum = 1), DiscardQuery),
    responses(
        (status = 200, description = "What became of it.", body = Changed),
        (status = 404, description = "No such letter here.", body = Problem,
         content_type = "application/problem+json")))]
pub(super) async fn discard(
    Operator(caller): Operator,
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<DiscardQuery>, QueryRejection>,
) -> Result<Json<Changed>, Problem> {
    let (Path(text), Query(query)) = (path?, query?);
    let because = query.because.trim();
    if because.is_empty() || because.len() > BECAUSE_MAX_BYTES {
        return Err(Problem::bad_value("because", because, "say why, in 1 to 500 bytes"));
    }
    let broker = api.broker()?;
    let letter = letter(broker, &caller, &text).await?;
    let action = "dlq discard";
    let mut intention = described(&letter, "discarding");
    intention["because"] = Value::from(because);
    note(&caller, action, &letter, intention).await?;
    broker.remove_dead_letter(letter.sequence).await?;
    let result = json!({ "outcome": "discarded", "because": because });
    note(&caller, action, &letter, result).await?;
    Ok(Json(Changed { sequence: letter.sequence, outcome: "discarded" }))
}

/// Whether the original, which has no id of its sender, is a record already.
async fn is_applied(caller: &Caller, letter: &Letter) -> Result<bool, Problem> {
    let subject = letter.origin_subject().ok().and_then(|text| text.parse::<DeviceSubject>().ok());
    let (Some(subject), Some(key), Some(first_seen)) =
        (subject, letter.place_key(), letter.first_seen())
    else {
        return Ok(false);
    };
    let (tenant, device) = (subject.tenant(), subject.device());
    Ok(caller.records().is_recorded(tenant, device, &key, first_seen).await?)
}

/// One row of the trail; without it nothing is changed.
async fn note(
    caller: &Caller,
    action: &'static str,
    letter: &Letter,
    mut detail: Value,
) -> Result<(), Problem> {
    detail["tenant"] = Value::from(letter.tenant());
    let entry = AuditEntry {
        who: caller.who(),
        action,
        object: format!("{STREAM} {}", letter.sequence),
        detail,
    };
    Ok(caller.records().audit(&[entry]).await?)
}

/// What the log keeps of a letter, as `wegweiser dlq` does: never the payload.
fn described(letter: &Letter, outcome: &str) -> Value {
    json!({
        "outcome": outcome,
        "subject": letter.header(headers::SUBJECT),
        "stream": letter.stream(),
        "sequence": letter.origin_sequence(),
        "message_id": letter.header(headers::MESSAGE_ID),
        "parked_for": letter.reason(),
        "payload_bytes": letter.payload.len(),
    })
}

fn kept(why: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "letter kept", format!("it was not sent again: {why}"))
}
