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

/// The next message of a consumer, unsettled.
async fn pull(
    operator: &async_nats::Client,
    (stream, consumer): (&str, &str),
    expires: std::time::Duration,
) -> Result<Option<async_nats::jetstream::Message>> {
    use futures::StreamExt as _;
    let stream = async_nats::jetstream::new(operator.clone()).get_stream(stream).await?;
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        stream.get_consumer(consumer).await.map_err(|error| anyhow::anyhow!(error))?;
    let mut batch = consumer.batch().max_messages(1).expires(expires).messages().await?;
    batch.next().await.transpose().map_err(|error| anyhow::anyhow!(error))
}

/// So many deliveries of the next message end without a verdict, as when its receiver dies each
/// time. Given back unsettled at once, where a dead receiver would let `ack_wait` pass.
async fn die_of_the_next(world: &World, of: (&str, &str), times: i64) -> Result<()> {
    let operator = world.operator().await?;
    for attempt in 1..=times {
        let message = pull(&operator, of, std::time::Duration::from_secs(10)).await?;
        let message = message.ok_or_else(|| anyhow::anyhow!("delivery {attempt} did not come"))?;
        let reply = message.reply.clone().ok_or_else(|| anyhow::anyhow!("no reply subject"))?;
        operator.publish(reply, "-NAK".into()).await?;
        operator.flush().await?;
    }
    Ok(())
}

/// The broker notices that no delivery is left when somebody asks for one.
async fn ask_in_vain(world: &World) -> Result<()> {
    let soon = std::time::Duration::from_millis(500);
    let none = pull(&world.operator().await?, REPORTS, soon).await?;
    anyhow::ensure!(none.is_none(), "there was a delivery more");
    Ok(())
}

const REPORTS: (&str, &str) = ("MONITORING", "records");
/// Deliveries that the files permit a report.
const PERMITTED: i64 = 5;

#[tokio::test]
async fn a_message_that_no_receiver_survives_is_parked_even_when_none_was_left() -> Result<()> {
    let world = World::start().await?;
    let device = world.device(0).await?;
    device.publish(&device.subject("monitoring"), r#"{"kills":true}"#).await?;
    die_of_the_next(&world, REPORTS, PERMITTED).await?;
    ask_in_vain(&world).await?;
    // And so did the one that tried it alone.
    die_of_the_next(&world, ("ADVISORIES", "crash-poison"), 1).await?;
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
    assert_eq!(letters[0].attempts, PERMITTED.to_string());

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
async fn a_message_that_only_was_beside_a_deadly_one_has_its_effect() -> Result<()> {
    let world = World::start().await?;
    let device = world.device(0).await?;
    device.publish(&device.subject("monitoring"), r#"{"innocent":true}"#).await?;
    die_of_the_next(&world, REPORTS, PERMITTED).await?;
    let receiver = world.receiver(&[])?;
    receiver.logs("its effect is durable").await?;
    let rows = "select count(*) from device_realtime_data where payload ? 'innocent'";
    assert_eq!(world.count(rows).await?, 1);
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    Ok(())
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
