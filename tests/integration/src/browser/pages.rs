//! Every page with a small fleet on it, in both themes and at two widths: nothing that axe calls
//! serious, no scrolling sideways, nothing that jumps, and keys reach everything.
//!
//! With `WEGWEISER_PICTURES_DIR` it leaves a picture of each (`make page-pictures`).

use std::f64::consts::TAU;
use std::time::Duration;

use anyhow::Result;
use protocol::DeviceId;
use serde_json::json;
use storage::Scope;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::script::Script;
use super::{AgentHome, add, base, name_tenants, plainly, token, web};
use crate::device_commands::program;
use crate::world::{Device, World, eventually, now_ms, sql_client};

/// Points of the charts before the story begins, and how far apart they are.
const PAST_POINTS: i64 = 290;
const POINT_EVERY_MS: i64 = 2_000;
/// Simulated devices beside those with a part in it.
const SIMULATED: u32 = 60;
/// What the agent's program prints, a line at a time.
const BACKUP: &str =
    "for part in catalogue orders images; do echo \"saving $part\"; sleep 0.3; done
echo 'index is 3 days old' >&2
echo done";

#[tokio::test]
async fn every_page_is_fit_to_be_seen_in_both_themes_and_at_two_widths() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[("WEGWEISER_OFFLINE_MISSED_HEARTBEATS", "3")])?;
    let _fleet = world.fleet(SIMULATED)?;

    let till = DeviceId::new(Uuid::now_v7());
    add(&world, till, "till 4", &world.path("till.creds")).await?;
    let till = plainly(&world, till, &world.path("till.creds")).await?;
    past(&till).await?;
    away(&world, &till).await?;
    let agent_device = DeviceId::new(Uuid::now_v7());
    add(&world, agent_device, "warehouse-1", &world.path("agent.creds")).await?;
    let backup = world.path("nightly-backup");
    program(&backup, BACKUP)?;
    let home = AgentHome::make(&world, "agent.creds", &configuration(&backup))?;
    let _agent = home.start(&world)?;
    others(&world).await?;
    letters(&world, &till).await?;
    let names = [(world.tenants[0], "Alder Logistics"), (world.tenants[1], "Birch Clinics")];
    name_tenants(&world, &names).await?;

    let web = web(&world).await?;
    let token = token(&world, Scope::AllTenants).await?;
    let script = Script::start(
        "pages.mjs",
        &[
            ("BASE", &base(&web).await?),
            ("TOKEN", token.expose()),
            ("DEVICE", &till.id.to_string()),
            ("AGENT", &agent_device.to_string()),
            ("TENANT", &world.tenants[0].to_string()),
            ("PROGRAM", &backup.display().to_string()),
        ],
    )?;
    tokio::select! {
        held = seen(script) => held,
        ended = present(&till) => ended,
    }
}

async fn seen(mut script: Script) -> Result<()> {
    match script.errand().await? {
        None => Ok(()),
        Some(errand) => anyhow::bail!("nobody does {errand} here"),
    }
}

fn configuration(backup: &std::path::Path) -> String {
    let allowed =
        [("backup", backup.display().to_string()), ("uptime", "/usr/bin/uptime".to_owned())];
    let allowed =
        allowed.map(|(name, program)| format!("[commands.run.{name}]\nprogram = {program:?}\n"));
    allowed.concat()
}

/// A till's day: busy by the minute, with a memory that fills and a disk that hardly does.
fn values(at_ms: i64) -> [(&'static str, f64); 5] {
    let second = at_ms as f64 / 1_000.0;
    let wave = |period_s: f64| (second * TAU / period_s).sin();
    let busy = (34.0 + 17.0 * wave(171.0) + 9.0 * wave(23.0) + 4.0 * wave(7.3)).clamp(2.0, 98.0);
    // Counters, as network cards have them; each grows by 40 to 900 kB a second.
    let sent = second * 420_000.0 - 171.0 / TAU * 300_000.0 * (second * TAU / 171.0).cos();
    let taken = second * 130_000.0 - 23.0 / TAU * 60_000.0 * (second * TAU / 23.0).cos();
    [
        ("cpu_percent", busy),
        ("memory_percent", 58.0 + 6.0 * wave(600.0) + 0.6 * wave(19.0)),
        ("disk_percent", 71.4 + 0.05 * wave(300.0)),
        ("network_bytes_in", taken.round()),
        ("network_bytes_out", sent.round()),
    ]
}

async fn report(device: &Device, at_ms: i64) -> Result<()> {
    for (metric, value) in values(at_ms) {
        device.point(metric, at_ms, (value * 100.0).round() / 100.0).await?;
    }
    Ok(())
}

/// What it measured until now, but for a while without a network.
async fn past(device: &Device) -> Result<()> {
    let now = now_ms();
    for step in (1..=PAST_POINTS).rev().filter(|step| !(84..100).contains(step)) {
        report(device, now - step * POINT_EVERY_MS).await?;
    }
    device.nats.flush().await?;
    Ok(())
}

/// Goes on as it was, until nobody looks any more.
async fn present(device: &Device) -> Result<()> {
    let mut rounds = tokio::time::interval(Duration::from_secs(1));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        report(device, now_ms()).await?;
        let beat = heartbeat("till-4.cologne.example", now_ms(), 1_000);
        device.publish(&device.subject("status.heartbeat"), beat).await?;
    }
}

fn heartbeat(hostname: &str, at_ms: i64, interval_ms: u32) -> String {
    json!({
        "timestamp_ms": at_ms,
        "agent_version": "0.1.0",
        "heartbeat_interval_ms": interval_ms,
        "labels": {"site": "cologne", "role": "till"},
        "system_info": {
            "hostname": hostname, "os_version": "Debian GNU/Linux 12", "uptime": 1_209_600,
        },
    })
    .to_string()
}

/// When it was silent since yesterday.
async fn away(world: &World, device: &Device) -> Result<()> {
    let client = sql_client(&world.database).await?;
    let sql = "insert into device_connectivity_changes
        (tenant_uuid, device_uuid, changed_at, is_online)
        select $1, $2, now() - minutes * interval '1 minute', online
        from (values (1700, true), (1310, false), (1296, true), (770, false), (691, true),
                     (206, false), (203, true)) as past (minutes, online)";
    client.execute(sql, &[&device.tenant.as_uuid(), &device.id.as_uuid()]).await?;
    Ok(())
}

/// One in each state.
async fn others(world: &World) -> Result<()> {
    for name in ["till 5", "till 6"] {
        let creds = world.path(&format!("{name}.creds"));
        add(world, DeviceId::new(Uuid::now_v7()), name, &creds).await?;
    }
    let stolen = DeviceId::new(Uuid::now_v7());
    add(world, stolen, "courier tablet", &world.path("stolen.creds")).await?;
    let stolen = stolen.to_string();
    let tenant = world.tenants[0].to_string();
    for typed in [
        &["device", "revoke", &stolen, "--because", "stolen"][..],
        &["device", "label", "set", &stolen, "site=cologne"],
        &["enroll-token", "create", "--tenant", &tenant, "--uses", "20", "--expires", "3d"],
    ] {
        let (code, said) = world.wegweiser(typed).await?;
        anyhow::ensure!(code == 0, "{typed:?}: {said}");
    }
    // The last one has a clock that is slow, and is not waited for so soon.
    for (hostname, late_ms, interval_ms) in
        [("kiosk-7", 0, 1_000), ("kiosk-9", 0, 1_000), ("scale-2", 95_000, 600_000)]
    {
        let device = world.device(1).await?;
        let beat = heartbeat(hostname, now_ms() - late_ms, interval_ms);
        device.publish(&device.subject("status.heartbeat"), beat).await?;
        device.nats.flush().await?;
    }
    eventually("two that fell silent", async || {
        let silent = "select count(*) from device_connectivity where not is_online";
        Ok((world.count(silent).await? >= 2).then_some(()))
    })
    .await
}

/// Messages that nobody could apply, of several causes.
async fn letters(world: &World, device: &Device) -> Result<()> {
    let now = now_ms();
    let metric = format!("demo.system.{}.cpu_percent", device.id);
    for number in 0..7 {
        let cut = format!("{{\"monitoring_type\": \"disks\", \"disks\": [{{\"mount\": \"/{number}");
        device.publish(&device.subject("monitoring"), cut).await?;
    }
    for number in 0..4 {
        let late = json!({"timestamp_ms": now + 200 * 86_400_000 + number, "value": 12.5});
        device.publish(&metric, late.to_string()).await?;
    }
    let label = json!({"timestamp_ms": now, "labels": {"Site Name": "cologne"}});
    device.publish(&device.subject("status.heartbeat"), label.to_string()).await?;
    let other = world.device(1).await?;
    let words = json!({"timestamp_ms": now, "value": "much"}).to_string();
    for _ in 0..3 {
        other.publish(&format!("demo.system.{}.memory_percent", other.id), words.clone()).await?;
    }
    eventually("dead letters", async || {
        Ok((world.messages_in("DEAD_LETTERS").await? >= 12).then_some(()))
    })
    .await
}
