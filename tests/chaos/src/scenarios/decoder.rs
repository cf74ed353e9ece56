//! The decoder takes any bytes: payloads that agents send, with something wrong in each.
//!
//! Random, not guided by coverage; `fuzz/` is. It is here for the count beside the other figures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use protocol::{DeviceSubject, UnixMillis, decode};
use rand::RngExt as _;
use rand::rngs::ThreadRng;

use crate::findings::Findings;
use crate::settings::Scale;

const TENANT: &str = "tenant.11111111-1111-4111-8111-111111111111";
const DEVICE: &str = "22222222-2222-4222-8222-222222222222";
const SEEDS: [&str; 6] = [
    r#"{"device_uuid":"22222222-2222-4222-8222-222222222222","tenant_uuid":"11111111-1111-4111-8111-111111111111","metric_type":"uptime","value":12.5,"timestamp_ms":1790000000000}"#,
    r#"{"device_uuid":"22222222-2222-4222-8222-222222222222","timestamp":1790000000,"agent_version":"3.1","session_id":"s","heartbeat_interval_ms":30000,"status":{"connected":true},"system_info":{"hostname":"web-1"}}"#,
    r#"{"monitoring_type":"disks","timestamp":1790000000000,"disks":[{"mount":"/","used":48.1},null,true,"\u00e4\ud83d\ude00"]}"#,
    r#"{"command_id":"c-1","timestamp":1790000000000,"result":{"command_id":"c-1","status":"error","error":"no"}}"#,
    r#"{"tenant_uuid":"11111111-1111-4111-8111-111111111111","device_uuid":"22222222-2222-4222-8222-222222222222","message_type":"response","payload":{"command_id":"c","status":"success"},"timestamp":1790000000.5,"message_id":"m-1"}"#,
    r#"{"value":-1e308,"timestamp_ms":9007199254740993}"#,
];
/// What mutations put in.
const TOKENS: [&str; 14] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "-1",
    "1e999",
    "\\u0000",
    "\\ud800",
    "\u{ff}",
    "99999999999999999999",
];
const CHANGES_MAX: usize = 6;
const NOW: UnixMillis = UnixMillis::new(1_790_000_000_000);

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let time = scale.time(30, 3);
    let tried = tokio::task::spawn_blocking(move || try_for(time));
    let [inputs, events, panics] = tried.await.context("the decoder's thread")??;
    let mut findings = Findings::default();
    findings.tell("inputs tried", inputs);
    findings.tell("of them taken as events", events);
    findings.must_be("panics", panics, 0);
    Ok(findings)
}

/// Inputs, events among them, panics among them.
fn try_for(time: Duration) -> Result<[u64; 3]> {
    let mut subjects: Vec<DeviceSubject> = Vec::new();
    for tail in ["status.heartbeat", "monitoring", "response"] {
        subjects.push(format!("{TENANT}.device.{DEVICE}.{tail}").parse()?);
    }
    subjects.push(format!("{TENANT}.demo.system.{DEVICE}.uptime").parse()?);
    let (mut counts, mut random, started) = ([0; 3], rand::rng(), Instant::now());
    while started.elapsed() < time {
        for seed in SEEDS {
            let payload = mutated(seed.as_bytes(), &mut random);
            for subject in &subjects {
                counts[0] += 1;
                match catch_unwind(AssertUnwindSafe(|| decode(subject, &payload, NOW).is_ok())) {
                    Ok(true) => counts[1] += 1,
                    Ok(false) => {}
                    Err(_) => counts[2] += 1,
                }
            }
        }
    }
    Ok(counts)
}

fn mutated(seed: &[u8], random: &mut ThreadRng) -> Vec<u8> {
    let mut payload = seed.to_vec();
    for _ in 0..random.random_range(0..=CHANGES_MAX) {
        let at = random.random_range(0..=payload.len());
        let end = random.random_range(at..=payload.len());
        match random.random_range(0..5) {
            0 => _ = payload.drain(at..end),
            1 => payload.insert(at, random.random()),
            2 => {
                let token = TOKENS[random.random_range(0..TOKENS.len())];
                payload.splice(at..at, token.bytes());
            }
            3 => {
                let part = payload[at..end].to_vec();
                payload.splice(at..at, part);
            }
            _ => {
                if let Some(byte) = payload.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
    payload
}
