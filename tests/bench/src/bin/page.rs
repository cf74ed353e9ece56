//! Measures the page in a real browser with a large fleet: how soon a device's charts are filled, and
//! how smoothly the fleet scrolls.
//!
//! `cargo run --release -p bench --bin page -- [DEVICES] [LOADS]` (10000 9) starts NATS, Redis,
//! Postgres and the built `wegweiser-web` beside it, fills them, and has Chromium open the page
//! (`crates/web/page/test/browser/measure.mjs`, which says what each figure is). Everything shares
//! the machine, so the figures are of a worst case.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement for people"
)]

use std::process::{Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::stream;
use devstack::{Nats, Postgres, Redis};
use protocol::{DeviceId, Heartbeat, MetricPoint, TenantId, UnixMillis};
use serde_json::json;
use storage::{
    ApiRole, ApiToken, HeartbeatWrite, NewApiToken, OfflineRule, PostgresSettings, Records,
    RedisSettings, RingWrite, Rings, Scope,
};
use uuid::Uuid;

#[path = "../web_service.rs"]
mod web_service;
use web_service::Service;

/// Streams that the service asks about, as they are declared.
const STREAMS: [&str; 2] = [
    include_str!("../../../../nats/streams/METRICS/stream.json"),
    include_str!("../../../../nats/streams/HEARTBEATS/stream.json"),
];
/// Heartbeats, and points, of one write.
const BATCH: usize = 1_000;
/// What every device measures, and how many points of each.
const FLEET_METRICS: [&str; 3] = ["cpu_percent", "memory_percent", "disk_percent"];
const FLEET_POINTS: i64 = 30;
/// What the device measures whose charts are waited for: as many points as a ring holds.
const DEVICE_METRICS: [&str; 8] = [
    "cpu_percent",
    "memory_percent",
    "disk_percent",
    "network_bytes_in",
    "network_bytes_out",
    "load_1m",
    "swap_percent",
    "uptime",
];
const DEVICE_POINTS: i64 = 300;
const POINT_EVERY_MS: i64 = 2_000;
/// Customers that the devices are of.
const TENANTS: usize = 20;

fn records(postgres: &Postgres) -> Records {
    Records::open(&PostgresSettings {
        url: postgres.address().url(),
        password: None,
        ca: None,
        pool_connections: 2,
        statement_timeout: Duration::from_secs(60),
    })
    .unwrap()
}

fn rings(redis: &Redis) -> Rings {
    Rings::open(&RedisSettings {
        host: redis.host().to_owned(),
        port: redis.port(),
        database: 3,
        prefix: "wegweiser:metrics".to_owned(),
        max_points: 300,
        ttl: Duration::from_secs(3_600),
        username: None,
        password: None,
        tls: false,
        ca: None,
    })
    .unwrap()
}

/// Devices with a heartbeat each.
async fn fleet(records: &Records, count: usize) -> Vec<(TenantId, DeviceId)> {
    let now = UnixMillis::now();
    let tenants: Vec<TenantId> = (0..TENANTS).map(|_| TenantId::new(Uuid::now_v7())).collect();
    for (number, tenant) in tenants.iter().enumerate() {
        records.ensure_tenant(*tenant, &format!("Customer {number}")).await.unwrap();
    }
    let devices: Vec<_> = (0..count)
        .map(|number| (tenants[number % TENANTS], DeviceId::new(Uuid::now_v7())))
        .collect();
    let rule = OfflineRule { silence: Duration::from_secs(3_600), missed_heartbeats: 3 };
    for (chunk, devices) in devices.chunks(BATCH).enumerate() {
        let beats: Vec<Heartbeat> = devices
            .iter()
            .enumerate()
            .map(|(number, (tenant, device))| beat(*tenant, *device, chunk * BATCH + number, now))
            .collect();
        let writes: Vec<HeartbeatWrite<'_>> = beats
            .iter()
            .map(|heartbeat| HeartbeatWrite { heartbeat, number: None, received: now })
            .collect();
        for written in records.write_heartbeats(&writes, &rule).await.unwrap() {
            let _ = written.unwrap();
        }
    }
    devices
}

fn beat(tenant: TenantId, device: DeviceId, number: usize, at: UnixMillis) -> Heartbeat {
    let mut labels = protocol::Labels::default();
    labels.set("site", ["cologne", "hamburg", "leipzig", "ulm"][number % 4]).unwrap();
    labels.set("role", ["till", "scale", "kiosk"][number % 3]).unwrap();
    let system = json!({"system_info": {"hostname": format!("host-{number:05}"), "os": "Linux"}});
    Heartbeat {
        tenant,
        device,
        at,
        session: None,
        agent_version: Some("0.1.0".into()),
        interval_ms: None,
        labels,
        details: system.to_string().into(),
    }
}

/// Points until now of these metrics.
async fn measured(
    rings: &Rings,
    (tenant, device): (TenantId, DeviceId),
    metrics: &[&str],
    count: i64,
) {
    let now = UnixMillis::now().get();
    let points: Vec<MetricPoint> = metrics
        .iter()
        .flat_map(|metric| (0..count).map(move |step| (metric, step)))
        .map(|(metric, step)| MetricPoint {
            tenant,
            device,
            metric: metric.parse().unwrap(),
            at: UnixMillis::new(now - (count - step) * POINT_EVERY_MS),
            value: 50.0 + 40.0 * (step as f64 / 17.0).sin(),
        })
        .collect();
    for chunk in points.chunks(BATCH) {
        let writes: Vec<RingWrite<'_>> = chunk
            .iter()
            .map(|point| RingWrite { point, number: None, received: point.at, repeated: false })
            .collect();
        for written in rings.write(&writes).await.unwrap() {
            let _ = written.unwrap();
        }
    }
}

async fn token(records: &Records) -> ApiToken {
    let token = ApiToken::generate();
    let wanted = NewApiToken {
        name: "bench",
        scope: Scope::AllTenants,
        role: ApiRole::Viewer,
        expires_at: UnixMillis::new(UnixMillis::now().get() + 3_600_000),
        who: "bench",
    };
    records.create_api_token(&token, wanted).await.unwrap();
    token
}

/// Has the browser measure, and shows what it says.
fn browse(environment: &[(&str, &str)]) {
    devstack::page::build().unwrap();
    let page = devstack::page::page_dir().unwrap();
    let chromium = devstack::tools::chromium().unwrap();
    let script = page.join("test/browser/measure.mjs");
    let mut command: Command = devstack::page::install().unwrap().script(&script);
    let status = command
        .current_dir(&page)
        .envs(environment.iter().copied())
        .envs(chromium.environment)
        .env("CHROMIUM", chromium.program)
        .stdin(Stdio::null())
        .status()
        .expect("the browser's side starts");
    assert!(status.success(), "the browser's side ended early: {status}");
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>().unwrap());
    let count = arguments.next().unwrap_or(10_000);
    let loads = arguments.next().unwrap_or(9);
    let nats = Nats::builder().config("jetstream { max_file_store: 64GB }").start().unwrap();
    let jetstream = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
    for declared in STREAMS {
        let stream = serde_json::from_str::<stream::Config>(declared).unwrap();
        jetstream.create_stream(stream).await.unwrap();
    }
    let redis = Redis::builder().start().unwrap();
    let postgres = Postgres::builder().fsync(false).start().unwrap();
    let (records, rings) = (records(&postgres), rings(&redis));
    records.migrate().await.unwrap();
    let devices = fleet(&records, usize::try_from(count).unwrap()).await;
    for device in &devices {
        measured(&rings, *device, &FLEET_METRICS, FLEET_POINTS).await;
    }
    let watched = devices[devices.len() / 2];
    measured(&rings, watched, &DEVICE_METRICS, DEVICE_POINTS).await;
    let token = token(&records).await;
    let service = Service::start(&nats, &redis, &postgres);
    println!("{count} devices of {TENANTS} tenants, {loads} loads");
    let port = service.address.rsplit(':').next().unwrap();
    browse(&[
        ("BASE", &format!("http://localhost:{port}")),
        ("TOKEN", token.expose()),
        ("DEVICE", &watched.1.to_string()),
        ("DEVICES", &count.to_string()),
        ("LOADS", &loads.to_string()),
    ]);
    let (cores, mib) = (service.processor_seconds(), service.resident_mib());
    println!("web service: {cores:.1} s of a processor in all, {mib} MiB");
}
