//! Leg (f), a floor: the same rows into Postgres, with nothing around.
//!
//! The receiver's own statement, prepared once, on as many connections as it has workers; columns
//! and payloads are in memory before the clock starts.

use anyhow::{Result, ensure};
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::measure::{Leg, Sample, Watch};
use crate::workload::Response;
use crate::world::World;

/// The receiver's defaults.
const BATCH_ROWS: usize = 500;
const CONNECTIONS: usize = 2;

const INSERT: &str = "
insert into device_realtime_data
      (tenant_uuid, device_uuid, message_key, kind, data_type, command_id, status, payload,
       sent_at, received_at)
select tenant_uuid, device_uuid, message_key, 'response', 'response', command_id, 'success',
       payload, to_timestamp(sent_ms / 1000.0), to_timestamp(sent_ms / 1000.0)
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::bigint[])
  as t(tenant_uuid, device_uuid, message_key, command_id, payload, sent_ms)
on conflict do nothing";

#[derive(Default)]
struct Columns {
    tenants: Vec<Uuid>,
    devices: Vec<Uuid>,
    keys: Vec<String>,
    commands: Vec<String>,
    payloads: Vec<Json<Box<RawValue>>>,
    sent: Vec<i64>,
}

pub(crate) async fn measure(world: &World, responses: &[Response], run: usize) -> Result<Sample> {
    let mut shares: [Vec<Columns>; CONNECTIONS] = Default::default();
    for (number, batch) in responses.chunks(BATCH_ROWS).enumerate() {
        shares[number % CONNECTIONS].push(columns(batch)?);
    }
    let mut ready = Vec::new();
    for share in shares {
        let client = world.sql().await?;
        let statement = client.prepare(INSERT).await?;
        ready.push((client, statement, share));
    }
    let watch = Watch::start(&world.meter)?;
    let mut running = JoinSet::new();
    for (client, statement, share) in ready {
        running.spawn(async move { insert(&client, &statement, &share).await });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    watch.stop(Leg::RowsFloor, run, responses.len())
}

async fn insert(
    client: &Client,
    statement: &tokio_postgres::Statement,
    share: &[Columns],
) -> Result<()> {
    for Columns { tenants, devices, keys, commands, payloads, sent } in share {
        client.execute(statement, &[tenants, devices, keys, commands, payloads, sent]).await?;
    }
    Ok(())
}

fn columns(batch: &[Response]) -> Result<Columns> {
    let session = Uuid::now_v7();
    let mut columns = Columns::default();
    for (number, response) in (1..).zip(batch) {
        let number: usize = number;
        columns.tenants.push(response.tenant.as_uuid());
        columns.devices.push(response.device.as_uuid());
        columns.keys.push(format!("{session}:response:{number}"));
        columns.commands.push(response.command_id.clone());
        columns.payloads.push(Json(RawValue::from_string(response.payload.clone())?));
        columns.sent.push(response.at.get());
    }
    Ok(columns)
}

/// Removes every row, and lets the server finish what it has put off.
pub(crate) async fn empty(world: &World) -> Result<()> {
    world.sql().await?.batch_execute("truncate device_realtime_data; checkpoint").await?;
    Ok(())
}

/// Makes sure that so many rows are there.
pub(crate) async fn check(world: &World, rows: usize) -> Result<()> {
    let row =
        world.sql().await?.query_one("select count(*) from device_realtime_data", &[]).await?;
    let found: i64 = row.get(0);
    ensure!(
        found == i64::try_from(rows)?,
        "{rows} rows should have been written, {found} are there"
    );
    Ok(())
}
