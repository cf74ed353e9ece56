//! One command's way: its states, its output, its result, and who is told of it.

use anyhow::{Context as _, Result};
use identity::DeviceRole;
use serde_json::Value;
use storage::AuditFilter;

use super::desk::{
    device, finished, next, output, row, send, started, take, tell, until, way, wegweiser,
};
use crate::world::{World, eventually};

#[tokio::test]
async fn commands_go_from_state_to_state_and_are_shown_with_what_came_of_them() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let order = ["run", "program=/bin/echo", r#"arguments=["a","b"]"#, "--timeout", "20s"];
    let command = send(&world, &device, &order).await?;
    let waiting = row(&world, command).await?;
    assert_eq!((waiting.state.as_str(), waiting.published_at.is_some()), ("queued", true));
    assert_eq!(world.messages_in("COMMANDS").await?, 1);

    let given = take(&world, &device).await?;
    assert_eq!(given.id(), command);
    assert_eq!((&*given.command.kind, given.command.timeout_ms), ("run", 20_000));
    assert_eq!(given.command.arguments["arguments"], serde_json::json!(["a", "b"]));
    assert_eq!(world.messages_in("COMMANDS").await?, 0, "an acknowledged command is gone");

    tell(&device, command, 0, started()).await?;
    until(&world, command, "running").await?;
    // As they come: not in their order, and one of them twice.
    for (number, chunk) in [(2, "two "), (1, "one "), (3, "three"), (1, "one ")] {
        tell(&device, command, number, output(chunk)).await?;
    }
    tell(&device, command, 4, finished("succeeded")).await?;
    until(&world, command, "succeeded").await?;
    assert_eq!(way(&world, command).await?, ["queued", "delivered", "running", "succeeded"]);

    let id = command.to_string();
    let shown: Value =
        serde_json::from_str(&wegweiser(&world, 0, &["show", &id, "--output", "json"]).await?)?;
    assert_eq!(shown["result"]["answer"], 42);
    let said: Vec<&str> = shown["output"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| p["chunk"].as_str())
        .collect();
    assert_eq!(said, ["one ", "two ", "three"], "in its order, each piece once");
    let stored = row(&world, command).await?;
    let rest = world.records()?.command_output(&stored, 2, 10).await?;
    assert_eq!(rest.iter().map(|piece| piece.number).collect::<Vec<_>>(), [3], "from a number on");
    let text = wegweiser(&world, 0, &["show", &id]).await?;
    assert!(text.contains("one two three") && text.contains("succeeded"), "{text}");
    let list = wegweiser(&world, 0, &["list", "--state", "succeeded"]).await?;
    assert!(list.contains(&id), "{list}");

    let filter = AuditFilter { device: Some(device.id), limit: 10, ..AuditFilter::default() };
    let trail = world.records()?.audit_rows(filter).await?;
    let told: Vec<(&str, &str)> = trail
        .iter()
        .rev()
        .map(|row| (row.action.as_str(), row.detail["outcome"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(told, [("command send", "queued"), ("command result", "succeeded")]);
    assert!(trail[1].who.contains("operator at the broker"), "{trail:?}");
    assert_eq!(trail[1].detail["arguments"]["program"], "/bin/echo");
    assert_eq!(trail[0].who, format!("device {}", device.id));
    // The first web app is shown ends, never what is on its way.
    let newest = "select count(*) from devicerealtimedata where data_type = 'response'
                  and data_value::jsonb ->> 'event' = 'finished'";
    assert_eq!(world.count(newest).await?, 1);
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    Ok(())
}

#[tokio::test]
async fn commands_never_go_back_whatever_comes_late_twice_or_from_others() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let stranger = super::desk::device(&world, 1, DeviceRole::Current).await?;
    let command = send(&world, &device, &["ping"]).await?;
    take(&world, &device).await?;
    // Somebody else's answer to it is stored, and moves nothing.
    tell(&stranger, command, 90, finished("failed")).await?;
    eventually("the stranger's answer is stored", async || {
        let rows = "select count(*) from device_realtime_data where status = 'error'";
        Ok((world.count(rows).await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(row(&world, command).await?.state.as_str(), "queued");

    tell(&device, command, 2, finished("failed")).await?;
    let ended = until(&world, command, "failed").await?;
    assert_eq!(ended.reason_code.as_deref(), Some("program_failed"));
    assert_eq!(ended.reason_text.as_deref(), Some("it ended with 3"));
    for (number, late) in [(1, output("late")), (0, started()), (3, finished("succeeded"))] {
        tell(&device, command, number, late).await?;
    }
    eventually("all of it is stored", async || {
        let rows = "select count(*) from device_realtime_data";
        Ok((world.count(rows).await? == 5).then_some(()))
    })
    .await?;
    let stays = row(&world, command).await?;
    assert_eq!((stays.state.as_str(), stays.changed_at), ("failed", ended.changed_at));
    // That it had begun is known all the same.
    assert_eq!(way(&world, command).await?, ["queued", "delivered", "running", "failed"]);
    Ok(())
}

#[tokio::test]
async fn commands_are_taken_back_wherever_they_are() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let waiting = send(&world, &device, &["ping"]).await?;
    let said = wegweiser(&world, 0, &["cancel", &waiting.to_string()]).await?;
    assert!(said.contains("never gets it"), "{said}");
    assert_eq!(row(&world, waiting).await?.state.as_str(), "cancelled");
    assert_eq!(world.messages_in("COMMANDS").await?, 0);
    assert!(next(&world, &device).await?.is_none());

    let running = send(&world, &device, &["run", "program=/bin/sleep"]).await?;
    assert_eq!(take(&world, &device).await?.id(), running);
    tell(&device, running, 0, started()).await?;
    until(&world, running, "running").await?;
    wegweiser(&world, 0, &["cancel", &running.to_string()]).await?;
    let order = take(&world, &device).await?;
    assert_eq!(&*order.command.kind, "agent.cancel");
    assert_eq!(order.command.arguments["command_id"], running.to_string());
    tell(&device, order.id(), 0, finished("succeeded")).await?;
    tell(&device, running, 1, finished("cancelled")).await?;
    until(&world, running, "cancelled").await?;
    let said = wegweiser(&world, 1, &["cancel", &running.to_string()]).await?;
    assert!(said.contains("had ended before"), "{said}");
    Ok(())
}

#[tokio::test]
async fn commands_that_are_waited_for_are_shown_as_they_come() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = device(&world, 0, DeviceRole::Current).await?;
    let id = device.id.to_string();
    let order = ["send", "run", "program=/bin/x", "--device", &id, "--wait", "--output", "json"];
    let answering = async {
        let given = take(&world, &device).await?;
        for (number, event) in [(0, started()), (1, output("hello")), (2, finished("failed"))] {
            tell(&device, given.id(), number, event).await?;
        }
        anyhow::Ok(())
    };
    let (said, answered) = tokio::join!(wegweiser(&world, 2, &order), answering);
    answered?;
    let lines: Vec<Value> =
        said?.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("JSON lines")?;
    assert_eq!(lines[0]["output"]["chunk"], "hello");
    assert_eq!(lines[1]["command"]["state"], "failed");
    assert_eq!(lines[2]["counts"]["failed"], 1);
    assert_eq!(lines.len(), 3, "{lines:?}");
    Ok(())
}
