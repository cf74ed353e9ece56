//! Order per device: whatever order several receivers write in, readers see the same.

use anyhow::Result;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use protocol::{
    CommandResponse, DeviceId, DeviceSubject, Event, Kind, MessageKey, MetricPoint, ResponseEvent,
    ResponseOutcome, ResponseStatus, TenantId, UnixMillis, decode,
};
use storage::{
    HeartbeatWrite, OfflineRule, RealtimeBody, RealtimeWrite, Records, RingWrite, Rings,
};
use uuid::Uuid;

use crate::world::World;

const CASES: u32 = 40;
const MESSAGES: usize = 24;
const RULE: OfflineRule =
    OfflineRule { silence: std::time::Duration::from_secs(120), missed_heartbeats: 3 };

/// How the messages of one device are delivered: which comes when, some of them again, and how many
/// to each batch. Two receivers write the batches, two at a time.
#[derive(Clone, Debug)]
struct Delivered {
    order: Vec<usize>,
    batches: Vec<usize>,
    /// Milliseconds between a message and the one before it, by broker and by device; several
    /// in one millisecond are usual when a spool is emptied.
    steps: Vec<(i64, i64)>,
}

fn delivered() -> impl Strategy<Value = Delivered> {
    let once = Just((0..MESSAGES).collect::<Vec<_>>()).prop_shuffle();
    let again = proptest::collection::vec(0..MESSAGES, 0..8);
    let batches = proptest::collection::vec(1_usize..7, MESSAGES + 8);
    let steps = proptest::collection::vec((0_i64..3, 1_i64..1_000), MESSAGES);
    (once, again, batches, steps).prop_map(|(mut order, again, batches, steps)| {
        order.extend(again);
        Delivered { order, batches, steps }
    })
}

impl Delivered {
    /// Message numbers by batch.
    fn batches(&self) -> Vec<&[usize]> {
        let (mut rest, mut batches) = (self.order.as_slice(), Vec::new());
        for size in &self.batches {
            let (batch, left) = rest.split_at((*size).min(rest.len()));
            rest = left;
            if !batch.is_empty() {
                batches.push(batch);
            }
        }
        batches
    }

    /// The broker's and the device's time of each message.
    fn times(&self, start: i64) -> Vec<(UnixMillis, UnixMillis)> {
        let (mut taken, mut made) = (start, start - 3_600_000);
        let mut times = Vec::new();
        for (by_broker, by_device) in &self.steps {
            (taken, made) = (taken + by_broker, made + by_device);
            times.push((UnixMillis::new(taken), UnixMillis::new(made)));
        }
        times
    }
}

#[test]
fn readers_see_the_newest_whatever_order_receivers_write_in() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let world = runtime.block_on(World::start())?;
    let _within = runtime.enter();
    let (records, rings) = (world.records()?, world.rings()?);
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&delivered(), |delivered| {
        let case = runtime.block_on(async {
            let tenant = TenantId::new(Uuid::now_v7());
            heartbeats(&records, tenant, &delivered).await?;
            responses(&world, &records, tenant, &delivered).await?;
            points(&rings, tenant, &delivered).await
        });
        case.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    tried.map_err(|error| anyhow::anyhow!("{error}"))
}

async fn heartbeats(records: &Records, tenant: TenantId, delivered: &Delivered) -> Result<()> {
    let device = DeviceId::new(Uuid::now_v7());
    let times = delivered.times(UnixMillis::now().get());
    let subject = DeviceSubject::new(tenant, device, Kind::Heartbeat);
    let mut beats = Vec::new();
    for (number, (taken, at)) in times.iter().enumerate() {
        let beat = format!(r#"{{"session_id":"session {number}","timestamp_ms":{}}}"#, at.get());
        match decode(&subject, beat.as_bytes(), *taken) {
            Ok((Event::Heartbeat(beat), _)) => beats.push(beat),
            other => anyhow::bail!("it is no heartbeat: {other:?}"),
        }
    }
    for pair in delivered.batches().chunks(2) {
        let write = async |batch: &[usize]| {
            let mut writes = Vec::new();
            for number in batch {
                writes.push(HeartbeatWrite {
                    number: None,
                    heartbeat: &beats[*number],
                    received: times[*number].0,
                });
            }
            records.write_heartbeats(&writes, &RULE).await
        };
        let second = pair.get(1).copied().unwrap_or_default();
        let (one, other) = tokio::join!(write(pair[0]), write(second));
        anyhow::ensure!(one?.iter().chain(&other?).all(Result::is_ok));
    }
    let row = records.devices(Some(tenant), Some(device), 1).await?.pop();
    let row = row.ok_or_else(|| anyhow::anyhow!("the device is unknown"))?;
    let last = MESSAGES - 1;
    let newest = format!("session {last}");
    anyhow::ensure!(row.session.as_deref() == Some(newest.as_str()), "{row:?}, not {newest}");
    anyhow::ensure!(row.online && row.last_heartbeat == times[last].0, "{row:?}");
    anyhow::ensure!(row.clock_offset_ms == times[last].1.since(times[last].0), "{row:?}");
    Ok(())
}

async fn responses(
    world: &World,
    records: &Records,
    tenant: TenantId,
    delivered: &Delivered,
) -> Result<()> {
    let device = DeviceId::new(Uuid::now_v7());
    let times = delivered.times(UnixMillis::now().get());
    let mut all = Vec::new();
    for (number, (_, at)) in times.iter().enumerate() {
        all.push(CommandResponse {
            tenant,
            device,
            at: *at,
            command_id: "c".into(),
            status: ResponseStatus::Success,
            event: ResponseEvent::Finished { outcome: ResponseOutcome::Succeeded, reason: None },
            response: format!(r#"{{"number":{number}}}"#).into(),
        });
    }
    for pair in delivered.batches().chunks(2) {
        let write = async |batch: &[usize]| {
            let mut writes = Vec::new();
            for number in batch {
                let id = format!("s:response:{number}").parse().ok();
                let received = times[*number].0;
                let key = MessageKey::of(id, "RESPONSES", 1, received);
                writes.push(RealtimeWrite {
                    body: RealtimeBody::Response(&all[*number]),
                    key,
                    received,
                });
            }
            records.write_realtime(&writes).await
        };
        let second = pair.get(1).copied().unwrap_or_default();
        let (one, other) = tokio::join!(write(pair[0]), write(second));
        anyhow::ensure!(one?.iter().chain(&other?).all(Result::is_ok));
    }
    let rows = format!("select count(*) from device_realtime_data where device_uuid = '{device}'");
    let rows = world.count(&rows).await?;
    anyhow::ensure!(rows == i64::try_from(MESSAGES)?, "{rows} rows");
    let shown = format!(
        "select (data_value::jsonb->>'number')::bigint from devicerealtimedata
         where deviceuuid = '{device}' and data_type = 'response'"
    );
    let shown = world.count(&shown).await?;
    anyhow::ensure!(
        shown == i64::try_from(MESSAGES - 1)?,
        "response {shown} is shown as the newest"
    );
    Ok(())
}

async fn points(rings: &Rings, tenant: TenantId, delivered: &Delivered) -> Result<()> {
    let device = DeviceId::new(Uuid::now_v7());
    let metric: protocol::MetricType = "cpu_percent".parse()?;
    let start = UnixMillis::now().get() - 1_000_000;
    let mut all = Vec::new();
    let mut at = start;
    for (number, (_, step)) in delivered.steps.iter().enumerate() {
        at += step;
        let value = f64::from(u32::try_from(number)?);
        let at = UnixMillis::new(at);
        all.push(MetricPoint { tenant, device, metric: metric.clone(), at, value });
    }
    let mut seen = std::collections::HashSet::new();
    for pair in delivered.batches().chunks(2) {
        let mut both = Vec::new();
        for batch in pair {
            let mut writes = Vec::new();
            for number in *batch {
                // What comes again says so, as a redelivery does.
                let (point, repeated) = (&all[*number], !seen.insert(*number));
                writes.push(RingWrite { point, number: None, received: point.at, repeated });
            }
            both.push(writes);
        }
        let written = both.iter().map(|writes| rings.write(writes));
        for written in futures::future::try_join_all(written).await? {
            anyhow::ensure!(written.iter().all(Result::is_ok));
        }
    }
    let shown = rings.newest(device, &metric, usize::MAX).await?;
    let shown: Vec<i64> = shown.iter().map(|point| point.timestamp.get()).collect();
    let sent: Vec<i64> = all.iter().map(|point| point.at.get()).collect();
    anyhow::ensure!(shown == sent, "{shown:?} is shown of {sent:?}");
    Ok(())
}
