//! The records can be made again from the streams, and what differs is found.

use anyhow::Result;
use serde_json::Value;

use crate::world::{World, eventually, now_ms, sql_client};

/// Runs `wegweiser rebuild` of the last hour.
async fn rebuild(world: &World, stream: &str, more: &[&str]) -> Result<(i32, Value)> {
    let verb = ["rebuild", "--stream", stream, "--since", "1h", "--output", "json"];
    let (code, said) = world.wegweiser(&[&verb, more].concat()).await?;
    let answer = serde_json::from_str(&said).map_err(|error| anyhow::anyhow!("{error}: {said}"))?;
    Ok((code, answer))
}

fn rows(answer: &Value, sort: &str) -> Option<i64> {
    answer["difference"][sort]["rows"].as_i64()
}

#[tokio::test]
async fn what_the_table_lacks_or_says_otherwise_is_found_and_only_what_it_lacks_is_added()
-> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let device = world.device(0).await?;
    for number in 1..=20 {
        let report = format!(r#"{{"monitoring_type":"disk","number":{number}}}"#);
        device.publish(&device.subject("monitoring"), report).await?;
        if number == 19 {
            // What was taken in the last millisecond is not judged: more may have come in it.
            eventually("19 written", async || {
                let written = "select count(*) from device_realtime_data";
                Ok((world.count(written).await? == 19).then_some(()))
            })
            .await?;
        }
    }
    device.publish(&device.subject("monitoring"), "no JSON").await?;
    for (session, at) in [("one", now_ms()), ("two", now_ms() + 1)] {
        let beat = format!(r#"{{"session_id":"{session}","timestamp":{at}}}"#);
        device.publish(&device.subject("status.heartbeat"), beat).await?;
    }
    eventually("all written", async || {
        let written = "select count(*) from device_realtime_data, device_connectivity
                       where session_id = 'two'";
        let parked = world.messages_in("DEAD_LETTERS").await?;
        Ok((world.count(written).await? == 20 && parked == 1).then_some(()))
    })
    .await?;
    for stream in ["MONITORING", "HEARTBEATS", "RESPONSES"] {
        let (code, answer) = rebuild(&world, stream, &[]).await?;
        assert_eq!(code, 0, "{stream}: {answer}");
    }

    let client = sql_client(&world.database).await?;
    client
        .batch_execute(
            "delete from device_realtime_data where payload->>'number' in ('3', '4');
             update device_realtime_data set payload = '{}' where payload->>'number' = '7';
             insert into device_realtime_data
                    (tenant_uuid, device_uuid, message_key, kind, data_type, payload, sent_at,
                     received_at)
             select tenant_uuid, device_uuid, 'from nowhere', kind, data_type, payload, sent_at,
                    received_at
             from device_realtime_data where payload->>'number' = '9';
             delete from device_connectivity",
        )
        .await?;
    let (code, answer) = rebuild(&world, "MONITORING", &[]).await?;
    assert_eq!(code, 2, "{answer}");
    assert_eq!(answer["rejected"], 1, "{answer}");
    let found = ["missing", "different", "extra"].map(|sort| rows(&answer, sort));
    assert_eq!(found, [Some(2), Some(1), Some(1)], "{answer}");
    assert_eq!(world.count("select count(*) from device_realtime_data").await?, 19);

    let (code, answer) = rebuild(&world, "MONITORING", &["--insert-missing"]).await?;
    assert_eq!(code, 2, "the rest still differs: {answer}");
    assert_eq!(answer["inserted"], 2, "{answer}");
    assert_eq!(world.count("select count(*) from device_realtime_data").await?, 21);
    let (code, answer) = rebuild(&world, "HEARTBEATS", &["--insert-missing"]).await?;
    assert_eq!((code, rows(&answer, "missing")), (0, Some(1)), "{answer}");
    let two = "select count(*) from device_connectivity where session_id = 'two'";
    assert_eq!(world.count(two).await?, 1);
    let noted = "select count(*) from audit_log where action = 'rebuild insert'";
    assert_eq!(world.count(noted).await?, 4, "before and after, twice");
    let left = "select count(*) from pg_namespace where nspname = 'rebuild'";
    assert_eq!(world.count(left).await?, 0);
    Ok(())
}
