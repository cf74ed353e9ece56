//! The key that signs commands is replaced: one order brings it to every device.

use anyhow::{Result, ensure};
use identity::DeviceRole;
use storage::Registration;

use super::field::{Field, WITHIN, until_state};
use crate::world::{World, eventually_within};

#[tokio::test]
async fn a_new_key_is_brought_to_every_device_by_one_order() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let field = Field::open(&world, "", &[("WEGWEISER_RECONNECT_SPREAD_MS", "250")]).await?;
    // It checks no signature, so no key is brought to it.
    let old = world.device_as(1, DeviceRole::FirstGeneration).await?;
    let records = world.records()?;
    records.ensure_tenant(old.tenant, "a customer").await?;
    let role = DeviceRole::FirstGeneration.name();
    records
        .register_device(Registration { tenant: old.tenant, device: old.id, name: "", role })
        .await?;
    let agent = field.start(&world)?;
    agent.logs("connected to the broker").await?;
    let first = field.send(&world, &["ping"]).await?;
    until_state(&world, first, "succeeded").await?;

    let (code, said) = world.wegweiser(&["command-key", "rotate"]).await?;
    ensure!(code == 0, "{said}");
    let early = field.send(&world, &["ping"]).await?;
    let refused = until_state(&world, early, "rejected").await?;
    assert_eq!(refused.reason_code.as_deref(), Some("unknown_key"));
    let bring = ["command", "send", "agent.trust-keys", "--all", "--wait"];
    let (code, said) = world.wegweiser(&bring).await?;
    ensure!(code == 0, "{said}");
    let late = field.send(&world, &["ping"]).await?;
    until_state(&world, late, "succeeded").await?;
    let believed = std::fs::read_to_string(field.home.join("command-keys"))?;
    assert_eq!(world.wegweiser(&["command-key", "show"]).await?.1, believed);

    // Once more, for a device that was asleep: the order waits for it.
    drop(agent);
    let (code, said) = world.wegweiser(&["command-key", "rotate"]).await?;
    ensure!(code == 0, "{said}");
    let (code, said) = world.wegweiser(&bring[..4]).await?;
    ensure!(code == 0, "{said}");
    let waits = field.send(&world, &["ping"]).await?;
    let _agent = field.start(&world)?;
    until_state(&world, waits, "succeeded").await?;
    let rows = "select count(*) from commands where kind = 'agent.trust-keys'
                and expires_at - created_at > interval '6 days'";
    eventually_within(WITHIN, "both orders", async || {
        Ok((world.count(rows).await? == 2).then_some(()))
    })
    .await
}
