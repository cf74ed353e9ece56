//! What agents report arrives, once, under the identity that the broker stamped.

use anyhow::Result;
use async_nats::jetstream::message::PublishMessage;

use crate::world::{World, eventually, eventually_within, now_ms};

#[tokio::test]
async fn everything_that_a_device_reports_arrives() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(0).await?;
    let (id, at) = (device.id, now_ms());

    device.point("cpu_percent", at, 12.5).await?;
    device.point("cpu_percent", at + 2000, 13.0).await?;
    let heartbeat = format!(
        r#"{{"device_uuid":"{id}","timestamp":{at},"agent_version":"3.1","session_id":"s","status":{{}}}}"#
    );
    device.publish(&device.subject("status.heartbeat"), heartbeat).await?;
    device.publish(&device.subject("monitoring"), r#"{"disks":[{"mount":"/"}]}"#).await?;
    let response = r#"{"command_id":"c-1","result":{"command_id":"c-1","status":"success"}}"#;
    device.publish(&device.subject("response"), response).await?;

    eventually("both points in the ring", async || {
        Ok((world.ring(id, "cpu_percent").await? == [at, at + 2000]).then_some(()))
    })
    .await?;
    let row = eventually("the device online", async || {
        Ok(world.records()?.devices(None, Some(id), 2).await?.pop())
    })
    .await?;
    assert!(row.online);
    assert_eq!((row.tenant, row.agent_version.as_deref()), (device.tenant, Some("3.1")));
    eventually("report and response as rows", async || {
        let sql = "select count(*) from devicerealtimedata";
        Ok((world.count(sql).await? == 2).then_some(()))
    })
    .await?;
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_message_that_is_sent_again_counts_once() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(0).await?;
    let jetstream = async_nats::jetstream::new(device.nats.clone());
    let body = r#"{"command_id":"c-1","status":"success"}"#;
    for subject in [device.subject("response"), device.subject("response")] {
        // Within the stream's duplicate window the stream itself takes it once.
        let message = PublishMessage::build().message_id("r-1").payload(body.into());
        jetstream.send_publish(subject, message).await?.await?;
    }
    // An enveloped id has no header, so the stream takes both and the record counts one.
    for _ in 0..2 {
        let enveloped = format!(
            r#"{{"message_type":"response","message_id":"r-2","device_uuid":"{}","tenant_uuid":"{}","payload":{body},"timestamp":{}}}"#,
            device.id,
            device.tenant,
            now_ms()
        );
        device.publish(&device.subject("response"), enveloped).await?;
    }
    device.publish(&device.subject("monitoring"), "{}").await?;
    eventually("the last message", async || {
        let sql = "select count(*) from device_realtime_data where kind = 'monitoring'";
        Ok((world.count(sql).await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(world.messages_in("RESPONSES").await?, 3);
    eventually("one row a message id", async || {
        let sql = "select count(*) from device_realtime_data where kind = 'response'";
        Ok((world.count(sql).await? == 2).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_first_generation_heartbeat_subject_is_a_heartbeat() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    for tail in ["status", "heartbeat"] {
        let device = world.device_as(1, identity::DeviceRole::FirstGeneration).await?;
        device.publish(&device.subject(tail), r#"{"agent_version":"1.0"}"#).await?;
        eventually(&format!("the device that beats on .{tail}"), async || {
            let rows = world.records()?.devices(Some(device.tenant), Some(device.id), 1).await?;
            Ok(rows.first().is_some_and(|row| row.online).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn receivers_that_are_stopped_and_killed_lose_and_double_nothing() -> Result<()> {
    const REPORTS: usize = 3_000;
    let world = World::start().await?;
    let device = world.device(0).await?;
    let mut receivers = [world.receiver(&[])?, world.receiver(&[])?, world.receiver(&[])?];
    for receiver in &receivers {
        receiver.logs("connected to the broker").await?;
    }
    let (start, batch) = (now_ms(), "WEGWEISER_RECORDS_BATCH_MESSAGES");
    for round in 0..REPORTS {
        device.publish(&device.subject("monitoring"), format!(r#"{{"n":{round}}}"#)).await?;
        device.point("uptime", start + i64::try_from(round)?, 1.0).await?;
        let victim = round / 500 % 3;
        match round % 500 {
            250 => receivers[victim].kill()?,
            251 => receivers[victim] = world.receiver(&[(batch, "50")])?,
            _ => {}
        }
    }
    device.nats.flush().await?;
    // What a killed receiver held comes again after the consumer's ack_wait.
    let limit = std::time::Duration::from_secs(90);
    eventually_within(limit, "every report once", async || {
        let sql = "select count(*) from device_realtime_data";
        Ok((world.count(sql).await? >= i64::try_from(REPORTS)?).then_some(()))
    })
    .await?;
    let rows = world.count("select count(*) from device_realtime_data").await?;
    let distinct = "select count(distinct payload ->> 'n') from device_realtime_data";
    assert_eq!(
        (rows, world.count(distinct).await?),
        (i64::try_from(REPORTS)?, i64::try_from(REPORTS)?)
    );
    let newest: Vec<i64> = (REPORTS - 300..REPORTS).map(|n| start + n as i64).collect();
    eventually_within(limit, "the newest points, each once", async || {
        Ok((world.ring(device.id, "uptime").await? == newest).then_some(()))
    })
    .await?;
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_receiver_told_to_stop_leaves_nothing_to_deliver_again() -> Result<()> {
    let world = World::start().await?;
    let device = world.device(0).await?;
    let mut leaving = world.receiver(&[])?;
    leaving.logs("connected to the broker").await?;
    for n in 0..2_000 {
        device.publish(&device.subject("monitoring"), format!(r#"{{"n":{n}}}"#)).await?;
    }
    device.nats.flush().await?;
    assert!(leaving.stop().await?.success(), "{}", leaving.log());
    nothing_left_to_deliver_again(&world).await?;
    let _other = world.receiver(&[])?;
    eventually("every report once", async || {
        let sql = "select count(*) from device_realtime_data";
        Ok((world.count(sql).await? == 2_000).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_receiver_told_to_stop_amid_a_backlog_leaves_the_rest_to_others() -> Result<()> {
    const REPORTS: i64 = 40_000;
    let world = World::start().await?;
    let device = world.device(0).await?;
    for n in 0..REPORTS {
        device.publish(&device.subject("monitoring"), format!(r#"{{"n":{n}}}"#)).await?;
    }
    device.nats.flush().await?;
    let mut leaving = world.receiver(&[("WEGWEISER_RECORDS_BATCH_MESSAGES", "100")])?;
    let rows = "select count(*) from device_realtime_data";
    let before = eventually("the first rows", async || {
        Ok(Some(world.count(rows).await?).filter(|rows| *rows > 0))
    })
    .await?;
    assert!(leaving.stop().await?.success(), "{}", leaving.log());
    let after = world.count(rows).await?;
    assert!(after < REPORTS, "it went on to the end: {before} rows at SIGTERM, {after} at exit");
    nothing_left_to_deliver_again(&world).await?;
    Ok(())
}

#[tokio::test]
async fn a_report_and_a_response_of_one_id_are_two_messages() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(0).await?;
    let jetstream = async_nats::jetstream::new(device.nats.clone());
    for (tail, body) in
        [("response", r#"{"command_id":"c","status":"success"}"#), ("monitoring", "{}")]
    {
        let message = PublishMessage::build().message_id("1").payload(body.into());
        jetstream.send_publish(device.subject(tail), message).await?.await?;
    }
    eventually("both rows", async || {
        let rows = world.count("select count(*) from device_realtime_data").await?;
        Ok((rows == 2).then_some(()))
    })
    .await
}

#[tokio::test]
async fn memory_is_bounded_by_bytes_and_not_only_by_messages() -> Result<()> {
    const REPORTS: i64 = 300;
    const BOUND_BYTES: u64 = 512 * 1024 * 1024;
    let world = World::start().await?;
    let device = world.device(0).await?;
    let processes: Vec<String> = (0..25_000).map(|n| format!(r#"{{"pid":{n},"a":1}}"#)).collect();
    let report = format!(r#"{{"processes":[{}]}}"#, processes.join(","));
    for _ in 0..REPORTS {
        device.publish(&device.subject("monitoring"), report.clone()).await?;
    }
    device.nats.flush().await?;
    let receiver = world.receiver(&[])?;
    eventually_within(std::time::Duration::from_secs(120), "every report", async || {
        let rows = world.count("select count(*) from device_realtime_data").await?;
        Ok((rows == REPORTS).then_some(()))
    })
    .await?;
    let peak = receiver.peak_resident_bytes()?;
    assert!(peak < BOUND_BYTES, "{} MiB for reports of {} KiB", peak >> 20, report.len() >> 10);
    Ok(())
}

/// Nobody pulls, so what a receiver left unsettled would stay so.
async fn nothing_left_to_deliver_again(world: &World) -> Result<()> {
    let broker = world.broker("receiver").await?;
    eventually("nothing is held", async || {
        let state = broker.consumer_state("MONITORING", "records").await?;
        anyhow::ensure!(state.num_redelivered == 0, "{} redelivered", state.num_redelivered);
        Ok((state.num_ack_pending == 0).then_some(()))
    })
    .await
}
