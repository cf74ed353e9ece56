//! Many devices: who is meant, how many at a time, and when to stop.

use anyhow::{Context as _, Result};
use identity::DeviceRole;
use protocol::Labels;
use serde_json::Value;
use storage::LabelChange;

use super::desk::{acknowledge, device, finished, next, tell, wegweiser};
use crate::world::{Device, World};

/// Answers whatever comes for any of the devices, until dropped. Returns never.
async fn answer_all(world: &World, devices: &[Device], outcome: &str, most: usize) -> Result<()> {
    loop {
        let mut at_once = 0;
        let mut given = Vec::new();
        for device in devices {
            if let Some(command) = next(world, device).await? {
                at_once += 1;
                given.push((device, command));
            }
        }
        anyhow::ensure!(at_once <= most, "{at_once} on their way, at most {most}");
        for (device, command) in given {
            acknowledge(device, &command).await?;
            tell(device, command.id(), 0, finished(outcome)).await?;
        }
    }
}

async fn devices(world: &World, count: usize) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for number in 0..count {
        let device = device(world, number % 2, DeviceRole::Current).await?;
        let mut labels = Labels::default();
        labels.set("site", if number < 4 { "cologne" } else { "bonn" })?;
        let change = LabelChange { device: device.id, set: &labels, unset: &[], who: "story" };
        world.records()?.change_labels(change).await?;
        devices.push(device);
    }
    // Consumers are made before the first command: until then there is nothing to pull.
    Ok(devices)
}

#[tokio::test]
async fn commands_go_to_those_who_are_meant_a_few_at_a_time() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let devices = devices(&world, 6).await?;
    let run = async |code, arguments: &[&str], outcome| -> Result<Value> {
        let order = [&["send", "ping", "--output", "json"], arguments].concat();
        tokio::select! {
            said = wegweiser(&world, code, &order) => {
                let said = said?;
                Ok(serde_json::from_str(said.lines().last().context("a last line")?)?)
            }
            failed = answer_all(&world, &devices, outcome, 2) => {
                failed?;
                anyhow::bail!("it answers for ever")
            }
        }
    };
    let all = run(0, &["--all", "--at-a-time", "2"], "succeeded").await?;
    assert_eq!((&all["counts"]["succeeded"], &all["not_sent"]), (&6.into(), &0.into()));
    let tenant = devices[0].tenant.to_string();
    let some = ["--tenant", &tenant, "--label", "site=cologne", "--wait"];
    let some = run(0, &some, "succeeded").await?;
    assert_eq!(some["counts"]["succeeded"], 2, "{some}");

    let stopped = ["--all", "--at-a-time", "2", "--stop-at", "50"];
    let stopped = run(3, &stopped, "failed").await?;
    let (failed, left) = (stopped["counts"]["failed"].as_u64(), stopped["not_sent"].as_u64());
    let (failed, left) = (failed.context("failed")?, left.context("not sent")?);
    assert!((1..=3).contains(&failed) && failed + left == 6, "{stopped}");
    let said = wegweiser(&world, 1, &["send", "ping"]).await?;
    assert!(said.contains("say to whom"), "{said}");
    Ok(())
}
