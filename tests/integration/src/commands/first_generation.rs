//! Agents of the first generation: unsigned, by subscription, when they are there, and only where
//! somebody allowed it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use identity::DeviceRole;
use serde_json::{Value, json};

use super::desk::{device, row, send, until, way, wegweiser};
use super::outbox::web_database;
use crate::world::{World, eventually, now_ms};

#[tokio::test]
async fn commands_reach_the_first_generation_with_its_next_heartbeat() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let _web = world.web(web_database(&world).await?)?;
    let device = device(&world, 0, DeviceRole::FirstGeneration).await?;
    let (id, tenant) = (device.id.to_string(), device.tenant.to_string());
    let said = wegweiser(&world, 1, &["send", "ping", "--device", &id]).await?;
    assert!(said.contains("first-generation-commands"), "nobody allowed it: {said}");
    let (code, said) =
        world.wegweiser(&["tenant", "first-generation-commands", &tenant, "allow"]).await?;
    assert_eq!(code, 0, "{said}");
    let said = wegweiser(&world, 1, &["send", "run", "program=/bin/x", "--device", &id]).await?;
    assert!(said.contains("does not know run"), "{said}");

    // It is away: nothing is published.
    let metrics = r#"metrics=["cpu_percent"]"#;
    let start = ["metrics.start", metrics, "interval_ms=1000", "ttl_s=60"];
    let commands = [send(&world, &device, &["ping"]).await?, send(&world, &device, &start).await?];
    let mut heard = device.nats.subscribe(device.subject("command")).await?;
    device.nats.flush().await?;
    for command in commands {
        assert!(row(&world, command).await?.published_at.is_none());
    }
    let beat = json!({ "device_uuid": id, "tenant_uuid": tenant, "timestamp": now_ms() });
    device.publish(&device.subject("status.heartbeat"), beat.to_string()).await?;
    for (command, word) in commands.iter().zip(["ping", "start_metrics"]) {
        let message = tokio::time::timeout(Duration::from_secs(20), heard.next()).await?;
        let order: Value = serde_json::from_slice(&message.context("a command")?.payload)?;
        assert_eq!(order["command"], word);
        assert_eq!(order["command_id"], command.to_string());
        assert!(order.get("signature").is_none() && order["parameters"].is_object(), "{order}");
    }
    eventually("nothing is left in the stream", async || {
        Ok((world.messages_in("COMMANDS").await? == 0).then_some(()))
    })
    .await?;

    let nested = json!({ "command_id": commands[0], "device_uuid": id, "timestamp": now_ms(),
        "result": { "command_id": commands[0], "status": "success", "result": "pong" } });
    device.publish(&device.subject("response"), nested.to_string()).await?;
    let failed = json!({ "command_id": commands[1], "timestamp": now_ms(),
        "result": { "status": "error", "error": "no such metric" } });
    device.publish(&device.subject("response"), failed.to_string()).await?;
    until(&world, commands[0], "succeeded").await?;
    assert_eq!(way(&world, commands[0]).await?, ["queued", "delivered", "succeeded"]);
    let failed = until(&world, commands[1], "failed").await?;
    assert_eq!(failed.reason_text.as_deref(), Some("no such metric"));
    assert!(
        tokio::time::timeout(Duration::from_secs(3), heard.next()).await.is_err(),
        "each was heard once"
    );
    Ok(())
}
