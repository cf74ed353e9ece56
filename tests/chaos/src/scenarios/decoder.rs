//! The decoder takes any bytes: payloads that agents send, with something wrong in each.
//!
//! Random, not guided by coverage; `make fuzz` is (`fuzz/`). It is here for the count beside the
//! other figures, and feeds a running receiver too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use protocol::{DeviceSubject, UnixMillis, decode};
use rand::RngExt as _;
use rand::rngs::ThreadRng;

use crate::findings::Findings;
use crate::settings::Scale;
use crate::stage::Stage;

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
/// Payloads for a running receiver; fewer of each reason than a device may have parked.
const FED: usize = 1_200;
const NOW: UnixMillis = UnixMillis::new(1_790_000_000_000);

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let time = scale.time(30, 3);
    let tried = tokio::task::spawn_blocking(move || try_for(time));
    let [inputs, events, panics] = tried.await.context("the decoder's thread")??;
    let mut findings = Findings::default();
    findings.tell("inputs tried", inputs);
    findings.tell("of them taken as events", events);
    findings.must_be("panics", panics, 0);
    feed_a_receiver(scale, &mut findings).await?;
    Ok(findings)
}

/// The same kind of payloads to a receiver as it runs: each is taken or parked, and it lives on.
async fn feed_a_receiver(scale: Scale, findings: &mut Findings) -> Result<()> {
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let device = stage.world.device(0).await?;
    let subjects = [
        format!("demo.system.{}.uptime", device.id),
        device.subject("status.heartbeat"),
        device.subject("monitoring"),
        device.subject("response"),
    ];
    let own = |seed: &str| {
        let seed = seed.replace(DEVICE, &device.id.to_string());
        seed.replace(&TENANT["tenant.".len()..], &device.tenant.to_string())
    };
    let mut payloads = Vec::new();
    // The generator is not one that may be held over an await.
    for _ in 0..FED / SEEDS.len() {
        payloads.extend(SEEDS.map(|seed| mutated(own(seed).as_bytes(), &mut rand::rng())));
    }
    for (payload, subject) in payloads.into_iter().zip(subjects.iter().cycle()) {
        device.publish(subject, payload).await?;
    }
    device.nats.flush().await?;
    stage.add_replicas(1).await?;
    stage.drained().await?;
    let parked = stage.stored("DEAD_LETTERS").await?;
    findings.tell("fed to a receiver", FED / SEEDS.len() * SEEDS.len());
    findings.tell("of them parked", parked);
    stage.told(findings, "wegweiser_dead_letters_total", "parking").await?;
    findings.must_be("log \"a task ended unasked\"", stage.logged("ended unasked") as u64, 0);
    Ok(())
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
