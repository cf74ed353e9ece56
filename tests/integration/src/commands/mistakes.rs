//! What cannot be sent is refused before anybody waits for it, with the field and the remedy.

use anyhow::Result;
use identity::DeviceRole;

use super::desk::{device, wegweiser};
use crate::world::World;

#[tokio::test]
async fn commands_that_cannot_be_sent_are_refused_with_the_remedy() -> Result<()> {
    let world = World::start().await?;
    let said = wegweiser(&world, 1, &["send", "ping", "--all"]).await?;
    assert!(said.contains("no device is meant; see: wegweiser devices"), "{said}");
    let own = device(&world, 0, DeviceRole::Current).await?;
    let id = own.id.to_string();
    let unknown = uuid::Uuid::now_v7().to_string();
    let large = format!("arguments=[\"{}\"]", "x".repeat(100 * 1024));
    for (code, arguments, words) in [
        (1, &["ping", "--device", &unknown] as &[&str], "is unknown: it is not registered"),
        (1, &["ping"], "say to whom: --device, --devices-from, --tenant, --label or --all"),
        (1, &["shell", "--device", &id], "kind \"shell\" is unknown; see wegweiser command kinds"),
        (1, &["process.list", "limit=0", "--device", &id], "limit: is 0; give 1 to 1000"),
        (1, &["process.list", "limits=5", "--device", &id], "unknown field `limits`"),
        (1, &["run", "--device", &id], "missing field `program`"),
        (1, &["run", "program=/bin/x", &large, "--device", &id], "arguments[0]: has 102400 bytes"),
        (1, &["ping", "x", "--device", &id], "\"x\" is no argument; give FIELD=VALUE"),
        (1, &["ping", "--arguments", "{x", "--device", &id], "\"{x\" is no JSON; give an object"),
        (1, &["ping", "--arguments", "[]", "--device", &id], "give an object with the arguments"),
        (64, &["ping", "--expires", "-1h", "--device", &id], "such as 2s"),
        (64, &["ping", "--expires", "2020-01-01", "--device", &id], "such as 2s"),
        (64, &["ping", "--expires", "8d", "--device", &id], "give up to 7d"),
        (64, &["ping", "--timeout", "2h", "--device", &id], "give 100ms to 1h"),
        (64, &["ping", "--device", "router"], "router"),
    ] {
        let said = wegweiser(&world, code, &[&["send"], arguments].concat()).await?;
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let client = crate::world::sql_client(&world.database).await?;
    client.batch_execute("update devices set state = 'revoked'").await?;
    let said = wegweiser(&world, 1, &["send", "ping", "--device", &id]).await?;
    assert!(said.contains("is revoked, or its tenant is suspended"), "{said}");
    let said = wegweiser(&world, 1, &["send", "ping", "--all"]).await?;
    assert!(said.contains("all 1 devices that are meant are revoked"), "{said}");
    client.batch_execute("update devices set state = 'active'").await?;
    client.batch_execute("update tenants set state = 'suspended'").await?;
    let said = wegweiser(&world, 1, &["send", "ping", "--device", &id]).await?;
    assert!(said.contains("its tenant is suspended"), "{said}");
    let said = wegweiser(&world, 1, &["ping", &unknown]).await?;
    assert!(said.contains("is unknown: it is not registered"), "{said}");
    assert_eq!(world.count("select count(*) from commands").await?, 0, "nothing was ordered");
    Ok(())
}
