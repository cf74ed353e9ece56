//! What nobody can fill: the stream for all by one device or one operator, the records by what a
//! device answers, and the records by commands that ended long ago.

use anyhow::{Context as _, Result};
use devstack::output;
use identity::DeviceRole;
use protocol::{CommandId, UnixMillis};
use serde_json::{Value, json};
use storage::NewCommand;
use uuid::Uuid;

use super::desk::{device, finished, row, send, started, take, tell, until, wegweiser};
use super::outbox::web_database;
use crate::world::{Device, World, eventually, scrape, sql_client};

/// A command of so many bytes that nobody publishes.
fn command(device: &Device, bytes: usize) -> NewCommand {
    let now = UnixMillis::now();
    NewCommand {
        command: CommandId::create(),
        tenant: device.tenant,
        device: device.id,
        kind: "ping".to_owned(),
        arguments: json!({}),
        timeout_ms: 1_000,
        created_at: now,
        expires_at: UnixMillis::new(now.get() + 3_600_000),
        first_generation: false,
        message: "x".repeat(bytes),
    }
}

#[tokio::test]
async fn commands_of_one_device_and_of_one_operator_do_not_fill_the_stream() -> Result<()> {
    let world = World::start().await?;
    let own = device(&world, 0, DeviceRole::Current).await?;
    let other = device(&world, 0, DeviceRole::Current).await?;
    let records = world.records()?;
    let order = async |who: &str, commands: &[NewCommand]| {
        let ordered = records.order_commands(Uuid::now_v7(), who, commands).await;
        ordered.map_err(|error| error.to_string())
    };
    let many: Vec<NewCommand> = (0..999).map(|_| command(&own, 10)).collect();
    order("story", &many).await.map_err(anyhow::Error::msg)?;
    let two = [command(&own, 10), command(&own, 10)];
    let error = order("story", &two).await.err().context("an error")?;
    assert!(error.starts_with("1001 commands with 10010 bytes would wait for device"), "{error}");
    assert!(error.contains("--state queued"), "{error}");
    let id = own.id.to_string();
    order("story", &two[..1]).await.map_err(anyhow::Error::msg)?;
    let said = wegweiser(&world, 1, &["send", "ping", "--device", &id]).await?;
    assert!(said.contains("1001 commands") && said.contains("take some back"), "{said}");

    // By their length, and not by their number.
    let large: Vec<NewCommand> = (0..70).map(|_| command(&other, 250_000)).collect();
    let error = order("story", &large).await.err().context("an error")?;
    assert!(error.starts_with("70 commands with 17500000 bytes"), "{error}");
    order("story", &large[..60]).await.map_err(anyhow::Error::msg)?;
    let client = sql_client(&world.database).await?;
    let filling = "
        insert into commands (command_uuid, tenant_uuid, device_uuid, batch_uuid, kind, arguments,
                              timeout_ms, requester, moved_by, first_generation, created_at,
                              expires_at, message)
        select gen_random_uuid(), tenant_uuid, gen_random_uuid(), batch_uuid, kind, arguments,
               timeout_ms, 'somebody', 'somebody', false, created_at, expires_at, message
        from commands cross join generate_series(1, 9) where length(message) > 100000";
    client.batch_execute(filling).await?;
    let third = device(&world, 0, DeviceRole::Current).await?;
    let error = order("somebody", &[command(&third, 10)]).await.err().context("an error")?;
    assert!(error.starts_with("135000010 bytes of commands of \"somebody\""), "{error}");
    order("story", &[command(&third, 10)]).await.map_err(anyhow::Error::msg)?;
    Ok(())
}

#[tokio::test]
async fn commands_whose_device_answers_without_end_are_cut_and_end_all_the_same() -> Result<()> {
    const MOST_BYTES: i64 = 65_536;
    let world = World::start().await?;
    let most = MOST_BYTES.to_string();
    let _receiver = world.receiver(&[("WEGWEISER_COMMAND_ANSWERS_MAX_BYTES", most.as_str())])?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let command = send(&world, &device, &["run", "program=/bin/yes"]).await?;
    take(&world, &device).await?;
    tell(&device, command, 0, started()).await?;
    let chunk = "y".repeat(10_000);
    for number in 1..=20 {
        // However it writes the id.
        let id = command.to_string();
        let id = if number % 2 == 0 { id.to_uppercase() } else { id };
        let piece = json!({ "event": "output", "command_id": id, "stream": "stdout",
                            "chunk": chunk, "offset": 0 });
        tell(&device, command, number, piece).await?;
    }
    tell(&device, command, 21, finished("succeeded")).await?;
    let ended = until(&world, command, "succeeded").await?;
    // Neither does an end that is told again and again, nor a refusal, add anything.
    for number in 22..=40 {
        let end = json!({ "event": "finished", "outcome": "failed", "result": chunk });
        tell(&device, command, number, end).await?;
        tell(&device, command, 100 + number, json!({ "event": "refused", "chunk": chunk })).await?;
    }
    eventually("all is settled", async || {
        let operator = world.broker("operator").await?;
        let drained = operator.consumer_state("RESPONSES", "records").await?.is_drained();
        Ok(drained.then_some(()))
    })
    .await?;
    let stored = "select coalesce(sum(octet_length(payload::text)), 0)::bigint
                  from device_realtime_data";
    let (stored, counted) =
        (world.count(stored).await?, world.count("select bytes from command_answers").await?);
    output::note(&format!("kept {stored} bytes of about 600,000, {counted} counted"));
    // Two workers may store in the same instant.
    assert!(stored < 3 * MOST_BYTES, "{stored}");
    assert_eq!(stored, counted);
    let row = row(&world, command).await?;
    assert_eq!((row.state.as_str(), row.answers_cut), ("succeeded", true));
    let pieces = world.records()?.command_output(&ended, -1, 100).await?;
    assert!((4..20).contains(&pieces.len()), "some are kept: {}", pieces.len());
    let end = world.records()?.command_end(&ended).await?;
    assert_eq!(end.result.context("a result")?["answer"], 42);
    let text = wegweiser(&world, 0, &["show", &command.to_string()]).await?;
    assert!(text.contains("answered more than is kept"), "{text}");
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    let (code, said) =
        world.wegweiser(&["rebuild", "--stream", "RESPONSES", "--since", "1h"]).await?;
    assert_eq!(code, 0, "what was left out is not missing: {said}");
    Ok(())
}

#[tokio::test]
async fn commands_that_ended_long_ago_go_and_open_ones_stay() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let old = send(&world, &device, &["ping"]).await?;
    let recent = send(&world, &device, &["ping"]).await?;
    let open = send(&world, &device, &["ping", "--expires", "7d"]).await?;
    for command in [old, recent] {
        take(&world, &device).await?;
        tell(&device, command, 0, started()).await?;
        tell(&device, command, 1, finished("succeeded")).await?;
        until(&world, command, "succeeded").await?;
    }
    let client = sql_client(&world.database).await?;
    let long_ago = "update commands set changed_at = changed_at - interval '91 days'
                    where command_uuid = any($1)";
    client.execute(long_ago, &[&vec![old.as_uuid(), open.as_uuid()]]).await?;
    let web = world.web(web_database(&world).await?)?;
    eventually("the old one is gone", async || {
        Ok(world.records()?.command(old).await?.is_none().then_some(()))
    })
    .await?;
    let page = scrape(&web, ": listening").await?;
    assert_eq!(page.value("wegweiser_commands_forgotten_total")?, 1.0);
    for command in [recent, open] {
        row(&world, command).await?;
    }
    let left = |command: CommandId| {
        format!("select count(*) from device_realtime_data where command_id = '{command}'")
    };
    assert_eq!(world.count(&left(old)).await?, 0, "with all that was answered to it");
    assert_eq!(world.count(&left(recent)).await?, 2);
    let states = "select count(*) from command_transitions t
                  where not exists (select from commands c where c.command_uuid = t.command_uuid)";
    assert_eq!(world.count(states).await?, 0);
    // Who ordered it stands in the audit log for ever.
    let trail = format!("select count(*) from audit_log where object = 'command {old}'");
    assert_eq!(world.count(&trail).await?, 2);
    let early = client.query("select wegweiser_forget_commands('7 days', 10)", &[]).await;
    assert!(early.is_err(), "what is in the stream is kept");
    let shown: Value = serde_json::from_str(
        &wegweiser(&world, 0, &["show", &recent.to_string(), "--output", "json"]).await?,
    )?;
    assert_eq!(shown["answers_cut"], false);
    Ok(())
}
