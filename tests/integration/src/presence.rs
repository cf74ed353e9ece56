//! Online and offline: by what is in the stream, once, and never by our own absence.

use anyhow::Result;
use protocol::UnixMillis;
use storage::{ApiRole, ApiToken, NewApiToken, Scope};

use crate::world::{World, ask, eventually, now_ms};

const QUICK: &[(&str, &str)] = &[("WEGWEISER_OFFLINE_AFTER_SECONDS", "1")];

#[tokio::test]
async fn a_silent_device_goes_offline_once_though_two_replicas_look() -> Result<()> {
    let world = World::start().await?;
    let _receivers = [world.receiver(QUICK)?, world.receiver(QUICK)?];
    let device = world.device(0).await?;
    let beat = format!(r#"{{"timestamp":{},"heartbeat_interval_ms":300}}"#, now_ms());
    device.publish(&device.subject("status.heartbeat"), beat).await?;
    let changes = "select count(*) from device_connectivity_changes";
    eventually("offline", async || {
        let gone = "select count(*) from device_connectivity where not is_online";
        Ok((world.count(gone).await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(world.count(changes).await?, 2, "one change to online, one to offline");
    // Three intervals and one sweep of 5 s, by the broker's clock; twice that for a busy machine.
    let noticed = "select (extract(epoch from last_online_change - last_heartbeat) * 1000)::bigint
        from device_connectivity";
    let noticed_ms = world.count(noticed).await?;
    assert!((900..2 * 5_900).contains(&noticed_ms), "offline after {noticed_ms} ms");

    device.publish(&device.subject("status.heartbeat"), "{}").await?;
    eventually("online again", async || {
        let back = "select count(*) from device_connectivity where is_online";
        Ok((world.count(back).await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(world.count(changes).await?, 3);
    Ok(())
}

#[tokio::test]
async fn heartbeats_that_wait_in_the_stream_keep_their_device_online() -> Result<()> {
    let world = World::start().await?;
    let mut receiver = world.receiver(QUICK)?;
    let device = world.device(0).await?;
    let beat = r#"{"heartbeat_interval_ms":2000}"#;
    device.publish(&device.subject("status.heartbeat"), beat).await?;
    eventually("online", async || {
        Ok((world.count("select count(*) from device_connectivity").await? == 1).then_some(()))
    })
    .await?;
    receiver.stop().await?;
    // While nobody receives, the device's record grows older than its silence allows.
    let overdue = "select count(*) from device_connectivity where last_heartbeat
        + offline_after_ms * interval '1 millisecond' < now()";
    let mut beats = tokio::time::interval(std::time::Duration::from_secs(1));
    while world.count(overdue).await? == 0 {
        beats.tick().await;
        device.publish(&device.subject("status.heartbeat"), beat).await?;
    }
    device.publish(&device.subject("status.heartbeat"), beat).await?;
    let receiver = world.receiver(QUICK)?;
    receiver.logs("connected to the broker").await?;
    eventually("the pipeline caught up and kept sweeping", async || {
        device.publish(&device.subject("status.heartbeat"), beat).await?;
        Ok((world.count(overdue).await? == 0).then_some(()))
    })
    .await?;
    let offline = "select count(*) from device_connectivity_changes where not is_online";
    assert_eq!(world.count(offline).await?, 0);
    Ok(())
}

#[tokio::test]
async fn readers_are_told_how_far_the_pipeline_is_behind() -> Result<()> {
    let world = World::start().await?;
    let token = ApiToken::generate();
    let viewer = NewApiToken {
        name: "a page",
        scope: Scope::AllTenants,
        role: ApiRole::Viewer,
        expires_at: UnixMillis::new(now_ms() + 3_600_000),
        who: "story",
    };
    world.records()?.create_api_token(&token, viewer).await?;
    let web = world.web(world.database.clone())?;
    let device = world.device(0).await?;
    device.publish(&device.subject("status.heartbeat"), "{}").await?;
    let behind = async || -> Result<Option<[i64; 2]>> {
        let (_, said) = ask(&web, "GET", "/v1/devices", token.expose()).await?;
        let answer: serde_json::Value = serde_json::from_str(&said)?;
        let ms = |stream| answer["behind_ms"][stream].as_i64();
        Ok(ms("HEARTBEATS").zip(ms("METRICS")).map(|(beats, points)| [beats, points]))
    };
    eventually("a heartbeat waits, and no point does", async || {
        Ok(behind().await?.filter(|[beats, points]| *beats > 0 && *points == 0))
    })
    .await?;
    let _receiver = world.receiver(&[])?;
    eventually("nothing waits", async || Ok(behind().await?.filter(|ms| *ms == [0, 0]))).await?;
    Ok(())
}
