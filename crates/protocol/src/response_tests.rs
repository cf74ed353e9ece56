//! Every shape of a response, and what it tells of its command.

use serde_json::{Value, json};

use super::*;
use crate::{Event, Kind, decode};

const NOW: UnixMillis = UnixMillis::new(1_790_230_470_084);

fn read(mut body: Value) -> Result<CommandResponse, Reject> {
    body["timestamp_ms"] = NOW.get().into();
    let (tenant, device) =
        (TenantId::new(uuid::Uuid::now_v7()), DeviceId::new(uuid::Uuid::now_v7()));
    let subject = DeviceSubject::new(tenant, device, Kind::Response);
    match decode(&subject, body.to_string().as_bytes(), NOW)?.0 {
        Event::Response(response) => Ok(response),
        other => panic!("{other:?}"),
    }
}

fn ended(body: Value) -> (ResponseOutcome, Option<ResponseReason>) {
    match read(body).unwrap().event {
        ResponseEvent::Finished { outcome, reason } => (outcome, reason),
        other => panic!("{other:?}"),
    }
}

fn reason(code: &str, text: &str) -> Option<ResponseReason> {
    Some(ResponseReason { code: code.into(), text: text.into() })
}

#[test]
fn a_command_tells_that_it_started_what_it_says_and_how_it_ended() {
    let started = read(json!({ "command_id": "c", "event": "started", "number": 0 })).unwrap();
    assert_eq!((started.event, started.status), (ResponseEvent::Started, ResponseStatus::Running));
    let output = json!({ "command_id": "c", "event": "output", "number": 1, "chunk": "x" });
    let output = read(output).unwrap();
    assert_eq!((output.event, output.status), (ResponseEvent::Output, ResponseStatus::Running));
    let finished = json!({ "command_id": "c", "event": "finished", "outcome": "succeeded",
                           "result": { "command_id": "its own field" } });
    let finished = read(finished).unwrap();
    assert_eq!(finished.status, ResponseStatus::Success);
    assert_eq!(&*finished.command_id, "c");
}

#[test]
fn every_outcome_has_its_state_and_its_reason() {
    use ResponseOutcome::{Cancelled, Expired, Failed, Rejected, TimedOut};
    for (word, outcome, code) in [
        ("timed_out", TimedOut, "timed_out"),
        ("cancelled", Cancelled, "cancelled"),
        ("expired", Expired, "expired"),
        ("interrupted", Failed, "interrupted"),
    ] {
        let body = json!({ "command_id": "c", "event": "finished", "outcome": word });
        assert_eq!(ended(body), (outcome, reason(code, "")), "{word}");
    }
    let told = json!({ "command_id": "c", "event": "finished", "outcome": "rejected",
                       "reason": { "code": "wrong_signature", "text": "ask\u{0}" } });
    assert_eq!(ended(told), (Rejected, reason("wrong_signature", "ask")));
    let late = json!({ "command_id": "c", "event": "finished", "outcome": "rejected",
                       "reason": { "code": "expired", "text": "" } });
    assert_eq!(ended(late), (Expired, reason("expired", "")));
    let other = json!({ "command_id": "c", "event": "refused", "number": 4, "outcome": "rejected",
                        "reason": { "code": "replayed", "text": "" } });
    let other = read(other).unwrap();
    assert_eq!(other.event, ResponseEvent::Refused { reason: reason("replayed", "") });
    assert_eq!(other.refusal(), Some("replayed"));
    let failed = json!({ "command_id": "c", "event": "finished", "outcome": "failed",
                         "reason": { "code": "busy", "text": "" } });
    assert_eq!(read(failed).unwrap().refusal(), None);
}

#[test]
fn an_id_is_the_same_however_it_is_written() {
    let id = "0192f3a1-0000-7000-8000-00000000000a";
    for written in [id.to_owned(), id.to_uppercase(), id.replace('-', "")] {
        let answer = json!({ "command_id": written, "event": "started", "number": 0 });
        assert_eq!(&*read(answer).unwrap().command_id, id);
    }
    let other = json!({ "command_id": "Job 7", "event": "started", "number": 0 });
    assert_eq!(&*read(other).unwrap().command_id, "Job 7");
}

#[test]
fn the_first_generation_answers_once() {
    let nested = |result: Value| json!({ "command_id": "c", "result": result });
    let (success, none) = (ResponseOutcome::Succeeded, None);
    assert_eq!(ended(nested(json!({ "status": "success", "result": 1 }))), (success, none));
    let failed = nested(json!({ "command_id": "c", "status": "error", "error": "no osquery" }));
    assert_eq!(ended(failed), (ResponseOutcome::Failed, reason("program_failed", "no osquery")));
    let flat = json!({ "command_id": "c", "status": "error" });
    assert_eq!(ended(flat), (ResponseOutcome::Failed, reason("program_failed", "")));
}

#[test]
fn what_is_none_is_refused_with_the_field() {
    for (body, field) in [
        (json!({ "command_id": "c", "event": "begun" }), "event"),
        (json!({ "command_id": "c", "event": "output", "chunk": "x" }), "number"),
        (json!({ "command_id": "c", "event": "output", "number": -1, "chunk": "x" }), "number"),
        (json!({ "command_id": "c", "event": "output", "number": 1 }), "chunk"),
        (json!({ "command_id": "c", "event": "finished" }), "outcome"),
        (json!({ "command_id": "c", "event": "finished", "outcome": "well" }), "outcome"),
        (json!({ "event": "started" }), "command_id"),
        (json!({ "command_id": "c" }), "status"),
    ] {
        let reject = read(body.clone()).unwrap_err();
        assert!(reject.detail().contains(&format!("field {field} ")), "{body}: {reject}");
    }
}
