//! The books: every numbered message is stored, parked, explained by its device, or missing.

use anyhow::{Context as _, Result};
use async_nats::jetstream::message::PublishMessage;
use protocol::{MessageNumber, MetricPoint, SessionId, UnixMillis};
use serde_json::{Value, json};
use storage::RingWrite;

use crate::world::{Device, World, eventually, now_ms};

/// An agent's numbering, with nothing else of it.
struct Numbering<'a> {
    device: &'a Device,
    session: SessionId,
}

impl Numbering<'_> {
    async fn send(&self, kind: &str, number: u64, body: Value) -> Result<()> {
        let subject = match kind {
            "metric" => format!("demo.system.{}.cpu_percent", self.device.id),
            "heartbeat" => self.device.subject("status.heartbeat"),
            other => self.device.subject(other),
        };
        let id = format!("{}:{kind}:{number}", self.session);
        let message = PublishMessage::build().message_id(id).payload(body.to_string().into());
        let jetstream = async_nats::jetstream::new(self.device.nats.clone());
        jetstream.send_publish(subject, message).await?.await?;
        Ok(())
    }

    async fn point(&self, number: u64) -> Result<()> {
        let at = now_ms() - 50_000 + i64::try_from(number)?;
        let body = json!({ "value": 1.5, "timestamp_ms": at });
        self.send("metric", number, body).await
    }

    async fn beat(&self, number: u64, status: Value) -> Result<()> {
        let body = json!({ "session_id": self.session, "status": status });
        self.send("heartbeat", number, body).await
    }
}

/// What `wegweiser ledger` says of a device: exit code and answer.
async fn ledger(world: &World, device: &Device) -> Result<(i32, Value)> {
    let id = device.id.to_string();
    let (code, said) = world.wegweiser(&["ledger", "--device", &id, "--output", "json"]).await?;
    let answer = serde_json::from_str(&said).map_err(|error| anyhow::anyhow!("{error}: {said}"))?;
    Ok((code, answer))
}

/// A column of a stream's line; 0 where there is no such line.
fn column(answer: &Value, stream: &str, column: &str) -> u64 {
    let mut lines = answer["devices"].as_array().into_iter().flatten();
    let line = lines.find(|line| line["stream"] == stream);
    line.and_then(|line| line[column].as_u64()).unwrap_or_default()
}

async fn drained(world: &World) -> Result<()> {
    let operator = world.broker("operator").await?;
    eventually("all settled", async || {
        for (stream, consumer) in
            [("METRICS", "rings"), ("HEARTBEATS", "connectivity"), ("MONITORING", "records")]
        {
            if !operator.consumer_state(stream, consumer).await?.is_drained() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_gap_is_a_fact_with_its_numbers_until_it_is_filled() -> Result<()> {
    let world = World::start().await?;
    let _receivers = [world.receiver(&[])?, world.receiver(&[])?];
    let device = world.device(0).await?;
    let agent = Numbering { device: &device, session: SessionId::start() };
    for number in (1..=60).filter(|number| !(17..=19).contains(number)) {
        agent.point(number).await?;
    }
    for number in [1, 3] {
        agent.send("monitoring", number, json!({ "monitoring_type": "disk" })).await?;
    }
    agent.send("monitoring", 2, json!("no object")).await?;
    drained(&world).await?;
    let (code, answer) = ledger(&world, &device).await?;
    assert_eq!((code, column(&answer, "METRICS", "under_way")), (0, 3), "unspoken of: {answer}");

    let sent = json!({ "metric": 60, "heartbeat": 1, "monitoring": 5 });
    let spooled = json!({ "monitoring": 1 });
    agent.beat(1, json!({ "sent": sent, "spooled": spooled })).await?;
    drained(&world).await?;
    let (code, answer) = ledger(&world, &device).await?;
    let columns = ["sent", "stored", "parked", "spooled", "under_way", "missing"];
    let of = |stream| columns.map(|name| column(&answer, stream, name));
    assert_eq!(code, 2, "{answer}");
    assert_eq!(of("METRICS"), [60, 57, 0, 0, 0, 3], "{answer}");
    assert_eq!(of("HEARTBEATS"), [1, 1, 0, 0, 0, 0], "{answer}");
    assert_eq!(of("MONITORING"), [5, 2, 1, 1, 0, 1], "{answer}");
    assert_eq!(answer["gaps"][0]["numbers"], json!([[17, 19]]), "{answer}");
    let (_, text) = world.wegweiser(&["ledger", "--totals"]).await?;
    assert!(text.contains("3 missing, numbers 17-19"), "{text}");

    for number in 17..=19 {
        agent.point(number).await?;
    }
    for number in [4, 5] {
        agent.send("monitoring", number, json!({})).await?;
    }
    agent.beat(2, json!({ "sent": { "metric": 60, "heartbeat": 2, "monitoring": 5 } })).await?;
    drained(&world).await?;
    let (code, answer) = ledger(&world, &device).await?;
    assert_eq!((code, column(&answer, "METRICS", "stored")), (0, 60), "{answer}");
    // The books of points end up in Postgres, in one range.
    eventually("one range, moved", async || {
        let one = "select count(*) from device_ledger where kind = 'metric'
                   and stored = '{[1,61)}'::int8multirange";
        Ok((world.count(one).await? == 1).then_some(()))
    })
    .await?;
    let mut redis = world.redis().await?;
    eventually("no note waits", async || {
        let key = world.ring_key(device.id, "").replace(&format!("{}:", device.id), "ledger");
        let left: i64 = redis::cmd("HLEN").arg(key).query_async(&mut redis).await?;
        Ok((left == 0).then_some(()))
    })
    .await?;
    assert_eq!(ledger(&world, &device).await?.0, 0);
    Ok(())
}

#[tokio::test]
async fn a_letter_is_parked_until_it_is_stored_or_discarded() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(0).await?;
    let mut redis = world.redis().await?;
    let ring = world.ring_key(device.id, "cpu_percent");
    let () = redis::cmd("SET").arg(&ring).arg("no list").query_async(&mut redis).await?;
    let agent = Numbering { device: &device, session: SessionId::start() };
    agent.point(1).await?;
    agent.send("monitoring", 1, json!("no object")).await?;
    drained(&world).await?;
    agent.beat(1, json!({ "sent": { "metric": 1, "heartbeat": 1, "monitoring": 1 } })).await?;
    drained(&world).await?;
    let parked = |answer: &Value| {
        [("METRICS", "stored"), ("METRICS", "parked"), ("MONITORING", "parked")]
            .map(|(stream, name)| column(answer, stream, name))
    };
    let (code, answer) = ledger(&world, &device).await?;
    assert_eq!((code, parked(&answer)), (0, [0, 1, 1]), "{answer}");

    let () = redis::cmd("DEL").arg(&ring).query_async(&mut redis).await?;
    // The window as two minutes later find it: the stream has forgotten the id.
    let operator = async_nats::jetstream::new(world.operator().await?);
    let mut config = operator.get_stream("METRICS").await?.cached_info().config.clone();
    config.duplicate_window = std::time::Duration::from_millis(100);
    operator.update_stream(config).await?;
    eventually("sent again", async || {
        let (code, _) = world.wegweiser(&["dlq", "replay", "--stream", "METRICS"]).await?;
        Ok((code == 0).then_some(()))
    })
    .await?;
    let discard = ["dlq", "discard", "--all", "--yes", "--because", "a test"];
    let (code, said) = world.wegweiser(&discard).await?;
    assert_eq!(code, 0, "{said}");
    drained(&world).await?;
    let (code, answer) = ledger(&world, &device).await?;
    assert_eq!((code, parked(&answer)), (0, [1, 0, 1]), "{answer}");
    Ok(())
}

#[tokio::test]
async fn an_earlier_run_stays_in_the_books_as_its_device_last_told() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(1).await?;
    let before = Numbering { device: &device, session: SessionId::start() };
    before.send("monitoring", 1, json!({})).await?;
    let agent = Numbering { device: &device, session: SessionId::start() };
    let earlier = json!({
        "session_id": before.session,
        "sent": { "monitoring": 4 },
        "spooled": { "monitoring": 1 },
        "dropped": { "monitoring": 1 },
    });
    agent.beat(1, json!({ "sent": { "heartbeat": 1 }, "earlier_sessions": [earlier] })).await?;
    drained(&world).await?;
    let (code, answer) = ledger(&world, &device).await?;
    let columns = ["sent", "stored", "spooled", "dropped", "missing"];
    let found = columns.map(|name| column(&answer, "MONITORING", name));
    assert_eq!((code, found), (2, [4, 1, 1, 1, 1]), "{answer}");
    assert_eq!(answer["gaps"][0]["session"], json!(before.session), "{answer}");
    // Told no more, and still known.
    agent.beat(2, json!({ "sent": { "heartbeat": 2 } })).await?;
    drained(&world).await?;
    let (code, answer) = ledger(&world, &device).await?;
    let found = columns.map(|name| column(&answer, "MONITORING", name));
    assert_eq!((code, found), (2, [4, 1, 1, 1, 1]), "{answer}");
    Ok(())
}

#[tokio::test]
async fn notes_of_points_stay_small_in_any_order_and_tell_when_they_do_not_fit() -> Result<()> {
    const POINTS: u64 = 3_000;
    let world = World::start().await?;
    let device = world.device(0).await?;
    let rings = world.rings()?;
    let session = SessionId::start();
    let point = MetricPoint {
        tenant: device.tenant,
        device: device.id,
        metric: "uptime".parse()?,
        at: UnixMillis::now(),
        value: 1.0,
    };
    let write = async |numbers: &[u64]| -> Result<()> {
        let write = |number: &u64| RingWrite {
            point: &point,
            number: Some(MessageNumber { session, counter: *number }),
            received: point.at,
            repeated: false,
        };
        let writes: Vec<RingWrite<'_>> = numbers.iter().map(write).collect();
        rings.write(&writes).await?;
        Ok(())
    };
    // Two receivers that take turns, and a third that comes late; some of it twice.
    let numbers: Vec<u64> = (1..=POINTS).collect();
    for chunk in numbers.chunks(5).step_by(2).chain(numbers.chunks(5).skip(1).step_by(2)) {
        write(chunk).await?;
    }
    write(&[7, 8]).await?;
    let note = rings.notes(0).await?.1.pop().context("a note")?;
    assert_eq!(note.incomplete(), None);
    let mut seen: Vec<u64> = note.runs().iter().flat_map(|run| run.first..=run.last).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, numbers);
    rings.forget_notes(&[note]).await?;

    for number in numbers.iter().filter(|number| *number % 2 == 1) {
        write(&[*number]).await?;
    }
    let note = rings.notes(0).await?.1.pop().context("a note")?;
    assert!(note.incomplete().is_some(), "{note:?}");
    assert!((200..1_500).contains(&note.runs().len()), "{}", note.runs().len());
    Ok(())
}

#[tokio::test]
async fn what_a_rebuild_adds_stands_in_the_books_again() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(0).await?;
    let books = Numbering { device: &device, session: SessionId::new(uuid::Uuid::now_v7()) };
    for number in 1..=3 {
        books.send("monitoring", number, json!({ "n": number })).await?;
    }
    eventually("three rows", async || {
        let rows = "select count(*) from device_realtime_data";
        Ok((world.count(rows).await? == 3).then_some(()))
    })
    .await?;
    drained(&world).await?;
    // As a database that came back from yesterday's backup, with its books.
    let client = crate::world::sql_client(&world.database).await?;
    client.batch_execute("delete from device_realtime_data; delete from device_ledger").await?;
    books.beat(1, json!({ "sent": { "monitoring": 3, "heartbeat": 1 } })).await?;
    eventually("the heartbeat in the books", async || {
        let (_, answer) = ledger(&world, &device).await?;
        Ok((column(&answer, "HEARTBEATS", "stored") == 1).then_some(()))
    })
    .await?;
    let (_, answer) = ledger(&world, &device).await?;
    assert_eq!(column(&answer, "MONITORING", "missing"), 3, "{answer}");

    let verb = ["rebuild", "--stream", "MONITORING", "--since", "1h", "--insert-missing"];
    let (code, said) = world.wegweiser(&verb).await?;
    assert_eq!(code, 0, "{said}");
    let (code, answer) = ledger(&world, &device).await?;
    assert_eq!(code, 0, "{answer}");
    assert_eq!(column(&answer, "MONITORING", "stored"), 3, "{answer}");
    Ok(())
}
