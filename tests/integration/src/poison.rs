//! What can never be applied is parked with its reason, and nothing waits for it.

use anyhow::Result;

use crate::world::{World, eventually, eventually_within, now_ms};

#[tokio::test]
async fn poison_is_parked_with_its_reason_and_the_rest_goes_on() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(0).await?;
    let metric = format!("demo.system.{}.cpu_percent", device.id);
    let stranger = "33333333-3333-4333-8333-333333333333";
    let huge = format!(r#"{{"value":1,"padding":"{}"}}"#, "x".repeat(1_000_000));
    let poison: Vec<(String, Vec<u8>, &str)> = vec![
        (metric.clone(), b"{\"value\":".to_vec(), "malformed_json"),
        (metric.clone(), br#"{"value":NaN}"#.to_vec(), "malformed_json"),
        (metric.clone(), vec![0xff, 0xfe, 0x00], "malformed_json"),
        (metric.clone(), br#"{"value":"high"}"#.to_vec(), "schema_violation"),
        (metric.clone(), br#"{"value":1,"timestamp_ms":-1}"#.to_vec(), "timestamp_out_of_range"),
        (
            metric.clone(),
            format!(r#"{{"value":1,"device_uuid":"{stranger}"}}"#).into(),
            "identity_mismatch",
        ),
        (
            metric.clone(),
            format!(r#"{{"value":1,"tenant_uuid":"{stranger}"}}"#).into(),
            "identity_mismatch",
        ),
        (metric.clone(), huge.into(), "oversized"),
        (
            format!("demo.system.{}.CPU-load", device.id),
            br#"{"value":1}"#.to_vec(),
            "unknown_subject",
        ),
        (
            device.subject("status.heartbeat"),
            br#"{"heartbeat_interval_ms":-3}"#.to_vec(),
            "schema_violation",
        ),
        (device.subject("response"), br#"{"status":"success"}"#.to_vec(), "schema_violation"),
        (device.subject("monitoring"), br#"{"text":"a\u0000b"}"#.to_vec(), "row_rejected"),
        (device.subject("status.heartbeat"), br#"{"text":"a\u0000b"}"#.to_vec(), "row_rejected"),
    ];
    let start = now_ms();
    for (n, (subject, payload, _)) in poison.iter().enumerate() {
        device.publish(subject, payload.clone()).await?;
        device.point("uptime", start + i64::try_from(n)?, 1.0).await?;
        device.publish(&device.subject("monitoring"), "{}").await?;
    }
    let letters = eventually("every poison parked", async || {
        let letters = world.dead_letters().await?;
        Ok((letters.len() >= poison.len()).then_some(letters))
    })
    .await?;
    assert_eq!(letters.len(), poison.len(), "{letters:#?}");
    for (subject, payload, reason) in &poison {
        let letter = letters
            .iter()
            .find(|letter| letter.payload == *payload && letter.origin.ends_with(subject.as_str()))
            .unwrap_or_else(|| panic!("{subject} {reason} is not among {letters:#?}"));
        assert_eq!(letter.reason, *reason, "{letter:?}");
        assert_eq!(letter.attempts, "1");
        assert!(!letter.detail.is_empty());
        let ids = format!(".{reason}.{}.{}", device.tenant, device.id);
        assert!(letter.subject.ends_with(&ids), "{} {ids}", letter.subject);
    }
    eventually("every good point", async || {
        Ok((world.ring(device.id, "uptime").await?.len() == poison.len()).then_some(()))
    })
    .await?;
    eventually("every good report", async || {
        let rows = world.count("select count(*) from device_realtime_data").await?;
        Ok((rows == i64::try_from(poison.len())?).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_message_that_no_receiver_survives_is_parked_even_when_none_was_left() -> Result<()> {
    let world = World::start().await?;
    let device = world.device(0).await?;
    device.publish(&device.subject("monitoring"), r#"{"kills":true}"#).await?;
    // Every permitted delivery ends without a verdict, as when the receiver dies each time.
    let operator = world.operator().await?;
    let jetstream = async_nats::jetstream::new(operator.clone());
    let stream = jetstream.get_stream("MONITORING").await?;
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        stream.get_consumer("records").await.map_err(|error| anyhow::anyhow!(error))?;
    let permitted = consumer.cached_info().config.max_deliver;
    for attempt in 1..=permitted {
        use futures::StreamExt as _;
        let expires = std::time::Duration::from_secs(5);
        let batch = consumer.batch().max_messages(1).expires(expires).messages().await;
        let mut batch = batch?;
        let message = batch.next().await.transpose().map_err(|error| anyhow::anyhow!(error))?;
        let message = message.ok_or_else(|| anyhow::anyhow!("delivery {attempt} did not come"))?;
        // Given back unsettled at once, where a dead receiver would let `ack_wait` pass.
        let reply = message.reply.clone().ok_or_else(|| anyhow::anyhow!("no reply subject"))?;
        operator.publish(reply, "-NAK".into()).await?;
    }
    let _receiver = world.receiver(&[])?;
    let limit = std::time::Duration::from_secs(60);
    let letters = eventually_within(limit, "the message parked", async || {
        let letters = world.dead_letters().await?;
        Ok((!letters.is_empty()).then_some(letters))
    })
    .await?;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason, "deliveries_exhausted");
    assert_eq!(letters[0].payload, br#"{"kills":true}"#);
    assert_eq!(letters[0].attempts, permitted.to_string());

    // It holds nothing back: what comes after it is applied, and known to be.
    let parked_at = now_ms();
    device.publish(&device.subject("monitoring"), "{}").await?;
    let broker = world.broker("receiver").await?;
    eventually("everything applied up to now", async || {
        let applied = broker.applied_until("MONITORING", "records").await?;
        let rows = world.count("select count(*) from device_realtime_data").await?;
        Ok((rows == 1 && applied.get() >= parked_at).then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_exhausted_message_that_retention_removed_leaves_a_tombstone() -> Result<()> {
    let world = World::start().await?;
    let operator = world.operator().await?;
    // What the broker says of a message that is gone by the time a receiver is back.
    let advisory = r#"{"type":"io.nats.jetstream.advisory.v1.max_deliver","stream":"MONITORING","consumer":"records","stream_seq":77,"deliveries":5}"#;
    let jetstream = async_nats::jetstream::new(operator);
    let ack = jetstream
        .publish("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.MONITORING.records", advisory.into())
        .await?;
    ack.await?;
    let _receiver = world.receiver(&[])?;
    let letters = eventually("the tombstone", async || {
        let letters = world.dead_letters().await?;
        Ok((!letters.is_empty()).then_some(letters))
    })
    .await?;
    assert_eq!(
        (letters[0].reason.as_str(), letters[0].tombstone.as_str()),
        ("deliveries_exhausted", "true")
    );
    assert!(letters[0].payload.is_empty());
    Ok(())
}
