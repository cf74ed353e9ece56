//! Poison of thirty kinds among good messages: each parked once, with its reason, and what it costs.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::{Stage, as_float};
use crate::world::Device;

const MESSAGES: u64 = 300_000;
/// As fast as the outboxes take them.
const PER_SECOND: u64 = 200_000;
/// One in so many is poison.
const POISON_SHARE: u64 = 100;
const REPLICAS: usize = 2;
const STRANGER: &str = "33333333-3333-4333-8333-333333333333";

/// Where the device sends it; `{}` in a subject stands for the device.
const METRIC: &str = "demo.system.{}.poison";
const HEARTBEAT: &str = "status.heartbeat";
const RESPONSE: &str = "response";
const MONITORING: &str = "monitoring";

/// Subject, payload (`ID` differs in each, `STRANGER` is another's id), and the reason.
const KINDS: [(&str, &str, &str); 30] = [
    (METRIC, r#"{"k":"ID","value":"#, "malformed_json"),
    (METRIC, r#"{"k":"ID","value":NaN}"#, "malformed_json"),
    (METRIC, r#"{"k":"ID","value":Infinity}"#, "malformed_json"),
    (METRIC, r#"{"k":"ID","value":1e999}"#, "malformed_json"),
    (METRIC, r#"{"k":"ID","value":1}}"#, "malformed_json"),
    (METRIC, r#"{'k':'ID','value':1}"#, "malformed_json"),
    (METRIC, "ID, as plain text", "malformed_json"),
    (METRIC, "DEEP", "malformed_json"),
    (METRIC, r#"["ID"]"#, "schema_violation"),
    (METRIC, r#""ID""#, "schema_violation"),
    (METRIC, r#"{"k":"ID"}"#, "schema_violation"),
    (METRIC, r#"{"k":"ID","value":"12"}"#, "schema_violation"),
    (METRIC, r#"{"k":"ID","value":null}"#, "schema_violation"),
    (METRIC, r#"{"k":"ID","value":[1]}"#, "schema_violation"),
    (METRIC, r#"{"k":"ID","value":1,"timestamp_ms":"soon"}"#, "schema_violation"),
    (METRIC, r#"{"message_type":"m","message_id":"ID","payload":7}"#, "schema_violation"),
    (METRIC, r#"{"k":"ID","value":1,"timestamp_ms":-5}"#, "timestamp_out_of_range"),
    (METRIC, r#"{"k":"ID","value":1,"timestamp_ms":5}"#, "timestamp_out_of_range"),
    (METRIC, r#"{"k":"ID","value":1,"timestamp_ms":9999999999999}"#, "timestamp_out_of_range"),
    (METRIC, r#"{"k":"ID","value":1,"device_uuid":"STRANGER"}"#, "identity_mismatch"),
    (METRIC, r#"{"k":"ID","value":1,"tenant_uuid":"STRANGER"}"#, "identity_mismatch"),
    (METRIC, r#"{"k":"ID","value":1,"metric_type":"uptime"}"#, "identity_mismatch"),
    (METRIC, "HUGE", "oversized"),
    ("demo.system.{}.CPU-load", r#"{"k":"ID","value":1}"#, "unknown_subject"),
    (HEARTBEAT, r#"{"k":"ID","heartbeat_interval_ms":-3}"#, "schema_violation"),
    (HEARTBEAT, r#"{"k":"ID","text":"a\u0000b"}"#, "row_rejected"),
    (RESPONSE, r#"{"k":"ID","status":"success"}"#, "schema_violation"),
    (RESPONSE, r#"{"k":"ID","command_id":"c","status":"maybe"}"#, "schema_violation"),
    (RESPONSE, r#"{"k":"ID","command_id":"c","status":"success","t":"\u0000"}"#, "row_rejected"),
    (MONITORING, r#"{"k":"ID","text":"a\u0000b"}"#, "row_rejected"),
];

/// Payloads of the poison that was sent, and under which reason each has to be parked.
type Sent = HashMap<Vec<u8>, &'static str>;

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let messages = scale.count(MESSAGES, 6_000);
    let mut findings = Findings::default();
    let clean = drain(scale, messages, 0, &mut findings).await?;
    let poisoned = drain(scale, messages, messages / POISON_SHARE, &mut findings).await?;
    let rate = |drained: Duration| as_float(messages) / drained.as_secs_f64();
    findings.tell("without poison, messages a second", format!("{:.0}", rate(clean)));
    findings.tell("with 1% poison, messages a second", format!("{:.0}", rate(poisoned)));
    findings.tell("ratio", format!("{:.2}", rate(poisoned) / rate(clean)));
    Ok(findings)
}

/// Drains so many messages with so much poison among them; how long it took.
async fn drain(
    scale: Scale,
    messages: u64,
    poison: u64,
    findings: &mut Findings,
) -> Result<Duration> {
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    let device = stage.world.device(0).await?;
    let (good, steps) = (messages - poison, 10);
    let mut sent = Sent::new();
    for step in 0..steps {
        fleet.send(good / steps, PER_SECOND).await?;
        send_poison(&device, poison / steps, step, &mut sent).await?;
    }
    fleet.confirmed().await?;
    device.nats.flush().await?;
    let started = tokio::time::Instant::now();
    stage.add_replicas(REPLICAS).await?;
    stage.drained().await?;
    let drained = started.elapsed();
    let balance = Balance::of(&stage, &fleet).await?;
    if poison == 0 {
        balance.judge(findings);
        return Ok(drained);
    }
    findings.must_be("beside poison: lost", balance.lost, 0);
    findings.must_be("beside poison: doubled", balance.doubled, 0);
    judge(&stage, &sent, findings).await?;
    let figure = r#"wegweiser_dead_letters_total{reason="malformed_json",stream="METRICS"}"#;
    stage.told(findings, figure, "parking").await?;
    Ok(drained)
}

async fn send_poison(device: &Device, count: u64, step: u64, sent: &mut Sent) -> Result<()> {
    for (number, (subject, payload, reason)) in (0..count).zip(KINDS.iter().cycle()) {
        let id = format!("{step}-{number}");
        let payload = match *payload {
            "DEEP" => {
                format!(r#"{{"k":"{id}","value":1,"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200))
            }
            "HUGE" => format!(r#"{{"k":"{id}","value":1,"x":"{}"}}"#, "x".repeat(5_000)),
            plain => plain.replace("ID", &id).replace("STRANGER", STRANGER),
        };
        let subject = match *subject {
            subject if subject.starts_with("demo.") => {
                subject.replace("{}", &device.id.to_string())
            }
            tail => device.subject(tail),
        };
        device.publish(&subject, payload.clone()).await?;
        sent.insert(payload.into_bytes(), reason);
    }
    Ok(())
}

async fn judge(stage: &Stage, sent: &Sent, findings: &mut Findings) -> Result<()> {
    let mut parked: HashMap<Vec<u8>, u64> = HashMap::new();
    let (mut wrong, mut first_wrong) = (0, None);
    for letter in stage.world.dead_letters().await? {
        if sent.get(&letter.payload).copied() != Some(letter.reason.as_str()) {
            wrong += 1;
            let payload =
                String::from_utf8_lossy(&letter.payload).chars().take(80).collect::<String>();
            first_wrong.get_or_insert(format!("{} for {payload}", letter.reason));
        }
        *parked.entry(letter.payload).or_default() += 1;
    }
    let kinds = KINDS.len().min(sent.len());
    findings.tell("kinds of poison", kinds);
    findings.tell("poison sent", sent.len());
    let once = sent.keys().filter(|payload| parked.get(*payload) == Some(&1)).count();
    findings.must_be("parked exactly once", once as u64, sent.len() as u64);
    findings.must_be("parked for another reason, or not poison", wrong, 0);
    if let Some(first) = first_wrong {
        findings.tell("the first of these", first);
    }
    Ok(())
}
