//! Measures live push: sockets at points a second each, against real servers on this machine.
//!
//! `target/release/live [SOCKETS] [POINTS_A_SECOND] [SECONDS]`, after `make programs`
//! (1000 10 20) starts NATS, Redis, Postgres and the built `wegweiser-web` beside it, has each socket
//! watch a device of its own, publishes, and prints what the web service took of the machine and how
//! long a point was under way from publish to socket. Everything shares the machine, so the figures
//! are of a worst case.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement for people"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream;
use devstack::{Nats, Postgres, Redis};
use futures::{SinkExt as _, StreamExt as _};
use protocol::{DeviceId, Heartbeat, TenantId, UnixMillis};
use serde_json::{Value, json};
use storage::{
    ApiRole, ApiToken, HeartbeatWrite, NewApiToken, OfflineRule, PostgresSettings, Records, Scope,
};
use tokio::task::JoinSet;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use uuid::Uuid;

#[path = "../web_service.rs"]
mod web_service;
use web_service::Service;

/// The stream that takes the points, as it is declared.
const METRICS: &str = include_str!("../../../../nats/streams/METRICS/stream.json");
/// Sockets that are opened at one time.
const OPENING: usize = 20;
/// Devices with a heartbeat each, and a token that sees them.
async fn devices(postgres: &Postgres, count: usize) -> (TenantId, Vec<DeviceId>, ApiToken) {
    let records = Records::open(&PostgresSettings {
        url: postgres.address().url(),
        password: None,
        ca: None,
        pool_connections: 2,
        statement_timeout: Duration::from_secs(15),
    })
    .unwrap();
    records.migrate().await.unwrap();
    let (tenant, now) = (TenantId::new(Uuid::now_v7()), UnixMillis::now());
    let ids: Vec<DeviceId> = (0..count).map(|_| DeviceId::new(Uuid::now_v7())).collect();
    let beats: Vec<Heartbeat> = ids
        .iter()
        .map(|device| Heartbeat {
            tenant,
            device: *device,
            at: now,
            session: None,
            agent_version: None,
            interval_ms: None,
            labels: protocol::Labels::default(),
            details: "{}".into(),
        })
        .collect();
    let writes: Vec<HeartbeatWrite<'_>> = beats
        .iter()
        .map(|heartbeat| HeartbeatWrite { heartbeat, number: None, received: now })
        .collect();
    let rule = OfflineRule { silence: Duration::from_secs(3_600), missed_heartbeats: 3 };
    for written in records.write_heartbeats(&writes, &rule).await.unwrap() {
        let _ = written.unwrap();
    }
    let token = ApiToken::generate();
    let wanted = NewApiToken {
        name: "bench",
        scope: Scope::AllTenants,
        role: ApiRole::Viewer,
        expires_at: UnixMillis::new(now.get() + 3_600_000),
        who: "bench",
    };
    records.create_api_token(&token, wanted).await.unwrap();
    (tenant, ids, token)
}

/// Watches one device until `end`: how long each point was under way, in microseconds.
async fn watch(
    address: Arc<str>,
    token: ApiToken,
    device: DeviceId,
    (clock, ready): (Instant, tokio::sync::mpsc::Sender<()>),
    seconds: u64,
) -> Vec<u64> {
    let mut request = format!("ws://{address}/v1/live").into_client_request().unwrap();
    let bearer = format!("Bearer {}", token.expose());
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let subscribe = json!({"subscribe": "metrics", "device": device}).to_string();
    socket.send(Message::text(subscribe)).await.unwrap();
    let mut under_way = Vec::new();
    let mut end = None;
    loop {
        let last = end.unwrap_or_else(|| Instant::now() + Duration::from_secs(120));
        let Ok(next) = tokio::time::timeout_at(last.into(), socket.next()).await else { break };
        let Some(Ok(Message::Text(text))) = next else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert_ne!(frame["type"], "refused", "{frame}");
        match frame["type"].as_str().unwrap() {
            "subscribed" => ready.send(()).await.unwrap(),
            "points" => {
                // The value is when it was published.
                let now = u64::try_from(clock.elapsed().as_micros()).unwrap();
                for point in frame["points"]["cpu_percent"].as_array().unwrap() {
                    let sent = point[1].to_string();
                    let sent: u64 = sent.trim_end_matches(".0").parse().unwrap();
                    under_way.push(now.saturating_sub(sent));
                }
                end.get_or_insert(Instant::now() + Duration::from_secs(seconds + 3));
            }
            _ => {}
        }
    }
    under_way
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let sockets = usize::try_from(arguments.next().unwrap_or(1_000)).unwrap();
    let a_second = arguments.next().unwrap_or(10);
    let seconds = arguments.next().unwrap_or(20);
    let nats = Nats::builder().config("jetstream {}").start().unwrap();
    let broker = async_nats::connect(nats.url()).await.unwrap();
    let stream = serde_json::from_str::<stream::Config>(METRICS).unwrap();
    async_nats::jetstream::new(broker.clone()).create_stream(stream).await.unwrap();
    let redis = Redis::builder().start().unwrap();
    let postgres = Postgres::builder().fsync(false).start().unwrap();
    let (tenant, devices, token) = devices(&postgres, sockets).await;
    let service = Service::start(&nats, &redis, &postgres);
    let (clock, address): (Instant, Arc<str>) = (Instant::now(), service.address.as_str().into());
    let (ready, mut subscribed) = tokio::sync::mpsc::channel(OPENING);
    let mut watching = JoinSet::new();
    for (number, device) in devices.iter().enumerate() {
        let about = (clock, ready.clone());
        watching.spawn(watch(Arc::clone(&address), token.clone(), *device, about, seconds));
        if number >= OPENING {
            subscribed.recv().await.unwrap();
        }
    }
    for _ in 0..devices.len().min(OPENING) {
        subscribed.recv().await.unwrap();
    }
    let idle_mib = service.resident_mib();
    // Past the second seed.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (before, started) = (service.processor_seconds(), Instant::now());
    let mut round =
        tokio::time::interval(Duration::from_secs(1) / u32::try_from(a_second).unwrap());
    for _ in 0..a_second * seconds {
        round.tick().await;
        for device in &devices {
            let sent = clock.elapsed().as_micros();
            let at = UnixMillis::now().get();
            let payload = format!(
                r#"{{"device_uuid":"{device}","tenant_uuid":"{tenant}","metric_type":"cpu_percent","value":{sent},"timestamp_ms":{at}}}"#
            );
            let subject = format!("tenant.{tenant}.demo.system.{device}.cpu_percent");
            broker.publish(subject, payload.into()).await.unwrap();
        }
        broker.flush().await.unwrap();
    }
    let elapsed = started.elapsed().as_secs_f64();
    let (cpu, busy_mib) = (service.processor_seconds() - before, service.resident_mib());
    let mut under_way: Vec<u64> = watching.join_all().await.into_iter().flatten().collect();
    under_way.sort_unstable();
    let expected = u64::try_from(sockets).unwrap() * a_second * seconds;
    let share = |percent: usize| under_way[(under_way.len() - 1) * percent / 100] as f64 / 1_000.0;
    println!("sockets {sockets}, {a_second} points/s each, {seconds} s");
    println!("points received {} of {expected}, published in {elapsed:.1} s", under_way.len());
    println!("web: {:.2} cores, {idle_mib} MiB open, {busy_mib} MiB busy", cpu / elapsed);
    println!(
        "publish to socket: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        share(50),
        share(99),
        share(100)
    );
}
