//! What an operator's monitoring sees: every figure that docs/metrics.md names, and no other.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use identity::DeviceRole;

use crate::world::{Process, World, eventually, get, now_ms, repository, scrape};

const LANES: [&str; 4] = ["METRICS", "HEARTBEATS", "MONITORING", "RESPONSES"];

/// Names that docs/metrics.md gives under these headings.
fn documented(headings: &[&str]) -> Result<BTreeSet<String>> {
    let document = std::fs::read_to_string(repository().join("docs/metrics.md"))?;
    let mut names = BTreeSet::new();
    let mut heading = "";
    for line in document.lines() {
        heading = line.strip_prefix("## ").unwrap_or(heading);
        let name = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
        names.extend(name.filter(|_| headings.contains(&heading)).map(str::to_owned));
    }
    Ok(names)
}

#[tokio::test]
async fn the_receiver_shows_every_documented_figure_and_counts_right() -> Result<()> {
    let world = World::start().await?;
    let creds = world.path("receiver.creds");
    world.receiver_creds(&creds, Duration::from_secs(86_400))?;
    let receiver = world.receiver(&[("NATS_CREDS", &creds.display().to_string())])?;
    let device = world.device(0).await?;
    for n in 0..3 {
        device.point("uptime", now_ms() + n, 1.0).await?;
    }
    for _ in 0..2 {
        device.publish(&format!("demo.system.{}.uptime", device.id), "{").await?;
    }
    device.publish(&device.subject("status.heartbeat"), "{}").await?;
    device.publish(&device.subject("monitoring"), "{}").await?;
    let response = r#"{"command_id":"c-1","status":"success"}"#;
    device.publish(&device.subject("response"), response).await?;

    let done = |stream| format!(r#"wegweiser_messages_total{{stream="{stream}",verdict="done"}}"#);
    let parked = r#"wegweiser_messages_total{stream="METRICS",verdict="parked"}"#;
    let page = eventually("everything counted and settled", async || {
        let page = scrape(&receiver, "health listening").await?;
        let counted = LANES.iter().all(|lane| {
            page.is(&done(lane), if *lane == "METRICS" { 3.0 } else { 1.0 })
                && page.is(&format!(r#"wegweiser_held_messages{{stream="{lane}"}}"#), 0.0)
                && page.is(&format!(r#"wegweiser_consumer_lag_messages{{stream="{lane}"}}"#), 0.0)
        });
        let seen = page.is("wegweiser_devices_known", 1.0) && page.is(parked, 2.0);
        Ok((counted && seen).then_some(page))
    })
    .await?;

    let mut expected =
        documented(&["Every program", "Receiver and web service", "wegweiser-receiver"])?;
    // The story's broker has none.
    expected.remove("wegweiser_broker_certificate_expires_timestamp_seconds");
    assert_eq!(page.names(), expected);
    for lane in LANES {
        assert_eq!(page.value(&format!(r#"wegweiser_sink_up{{stream="{lane}"}}"#))?, 1.0);
        for stage in ["fetch", "decode", "write", "settle"] {
            let name = "wegweiser_stage_duration_seconds_count";
            let batches = page.value(&format!(r#"{name}{{stage="{stage}",stream="{lane}"}}"#))?;
            assert!(batches >= 1.0, "{lane} {stage}");
        }
    }
    for (name, value) in [
        (r#"wegweiser_dead_letters_total{reason="malformed_json",stream="METRICS"}"#, 2.0),
        (r#"wegweiser_dead_letters_total{reason="oversized",stream="METRICS"}"#, 0.0),
        (r#"wegweiser_delay_seconds_count{stream="METRICS"}"#, 3.0),
        (r#"wegweiser_delay_seconds_bucket{stream="METRICS",le="60"}"#, 3.0),
        (r#"wegweiser_batch_messages_sum{stream="METRICS"}"#, 5.0),
        (r#"wegweiser_writes_total{sink="redis",stream="METRICS"}"#, 3.0),
        (r#"wegweiser_writes_total{sink="postgres",stream="RESPONSES"}"#, 1.0),
        (r#"wegweiser_writes_total{sink="redis",stream="METRICS_DEFERRED"}"#, 0.0),
        (r#"wegweiser_redelivered_messages_total{stream="METRICS"}"#, 0.0),
        (r#"wegweiser_sink_retries_total{stream="METRICS"}"#, 0.0),
        (r#"wegweiser_consumer_lag_seconds{stream="METRICS"}"#, 0.0),
        ("wegweiser_devices_online", 1.0),
        ("wegweiser_broker_reconnects_total", 0.0),
        ("wegweiser_permission_violations_total", 0.0),
    ] {
        assert_eq!(page.value(name)?, value, "{name}");
    }
    let (id, tenant) = (device.id.to_string(), device.tenant.to_string());
    assert!(!page.text.contains(&id), "a device is a label without a bound:\n{}", page.text);
    for figure in ["online", "known"] {
        let name = format!(r#"wegweiser_tenant_devices_{figure}{{tenant="{tenant}"}}"#);
        assert_eq!(page.value(&name)?, 1.0, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn an_ill_sink_and_what_waits_for_it_show() -> Result<()> {
    let world = World::start().await?;
    // Nothing listens on port 1.
    let receiver = world.receiver(&[("METRICS_REDIS_PORT", "1")])?;
    let device = world.device(0).await?;
    device.point("uptime", now_ms(), 1.0).await?;
    device.publish(&device.subject("monitoring"), "{}").await?;
    eventually("Redis away, the point waiting, Postgres untouched", async || {
        let page = scrape(&receiver, "health listening").await?;
        let metrics = |name: &str| {
            page.values.get(&format!(r#"wegweiser_{name}{{stream="METRICS"}}"#)).copied()
        };
        let away = metrics("sink_up") == Some(0.0) && metrics("sink_retries_total") > Some(0.0);
        let waiting = metrics("held_messages") == Some(1.0)
            && metrics("consumer_lag_messages") == Some(1.0)
            && metrics("consumer_ack_pending_messages") == Some(1.0)
            && metrics("consumer_lag_seconds") > Some(0.0);
        let untouched = page.is(r#"wegweiser_sink_up{stream="MONITORING"}"#, 1.0);
        Ok((away && waiting && untouched).then_some(()))
    })
    .await
}

#[tokio::test]
async fn the_web_service_shows_every_documented_figure_by_route() -> Result<()> {
    let world = World::start().await?;
    let web = world.web(world.database.clone())?;
    let device = world.device(0).await?.id;
    get(&web, ": listening", "/v1/devices").await?;
    get(&web, ": listening", &format!("/v1/devices/{device}")).await?;
    get(&web, ": listening", &format!("/v1/nowhere/{device}")).await?;
    let page = eventually("the connection to the broker", async || {
        let page = scrape(&web, ": listening").await?;
        Ok(page.names().contains("wegweiser_broker_reconnects_total").then_some(page))
    })
    .await?;
    let mut expected = documented(&["Every program", "Receiver and web service", "wegweiser-web"])?;
    // The story's broker has no certificate, and its credentials never end.
    expected.retain(|name| !name.ends_with("_expires_timestamp_seconds"));
    assert_eq!(page.names(), expected);
    for (route, status) in [("/v1/devices", 401), ("/v1/devices/{device}", 401), ("none", 404)] {
        let name = "wegweiser_http_request_duration_seconds_count";
        let name = format!(r#"{name}{{route="{route}",status="{status}"}}"#);
        assert_eq!(page.value(&name)?, 1.0, "{name}");
    }
    assert!(!page.text.contains(&device.to_string()), "{}", page.text);
    Ok(())
}

#[tokio::test]
async fn an_agent_shows_every_documented_figure_where_it_is_told_to() -> Result<()> {
    let world = World::start().await?;
    let agent = |listen: &'static str| {
        let (_, creds) = world.device_creds(0, DeviceRole::Current)?;
        let place = |name: &str| world.path(name).display().to_string();
        let environment = [
            ("NATS_URL", world.nats.url().to_owned()),
            ("NATS_CREDS", creds.display().to_string()),
            ("WEGWEISER_TENANT", world.tenants[0].to_string()),
            ("WEGWEISER_AGENT_STATUS_FILE", place(&format!("status{}.json", listen.len()))),
            ("WEGWEISER_AGENT_SPOOL_DIR", place(&format!("spool{}", listen.len()))),
            ("WEGWEISER_AGENT_LISTEN", listen.to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        Process::start("wegweiser-agent", &environment, &world.path(""))
    };
    let silent = agent("")?;
    let shown = agent("127.0.0.1:0")?;
    let page = eventually("everything confirmed", async || {
        let page = scrape(&shown, "health listening").await?;
        let confirmed = r#"wegweiser_agent_confirmed_messages_total{kind="heartbeat"}"#;
        let clock = page.names().contains("wegweiser_agent_clock_offset_seconds");
        Ok((clock && page.value(confirmed)? >= 1.0).then_some(page))
    })
    .await?;
    let mut expected = documented(&["Every program", "wegweiser-agent"])?;
    // These credentials never end.
    expected.retain(|name| !name.ends_with("_expires_timestamp_seconds"));
    assert_eq!(page.names(), expected);
    for (name, value) in [
        ("wegweiser_agent_connected", 1.0),
        ("wegweiser_agent_failing_collectors", 0.0),
        (r#"wegweiser_agent_dropped_messages_total{kind="metric",reason="overflow"}"#, 0.0),
        (r#"wegweiser_agent_waiting_messages{kind="response",place="disk"}"#, 0.0),
    ] {
        assert_eq!(page.value(name)?, value, "{name}");
    }
    assert!(get(&shown, "health listening", "/readyz").await?.contains(r#""broker":"up""#));
    silent.logs("connected to the broker").await?;
    assert!(!silent.log().contains("health listening"), "it listens although nobody told it to");
    Ok(())
}
