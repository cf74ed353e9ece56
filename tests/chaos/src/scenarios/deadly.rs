//! A message that kills whoever writes it.
//!
//! No fault is built into the product for this. A trigger in the scenario's database stops the
//! write of the marked message, and whoever waits for that write is killed: the same as a message
//! that aborts its receiver, at the same place, each time.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::PullConsumer;
use tokio_postgres::Client;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::Stage;
use crate::world::{eventually_within, sql_client};

const REPLICAS: usize = 3;
const MESSAGES: u64 = 20_000;
const PER_SECOND: u64 = 20_000;
const DEADLY: &str = r#"{"deadly":true}"#;
const TRAP: &str = "
create function trap() returns trigger language plpgsql as $$
begin
    perform pg_sleep(60);
    raise exception 'whoever wrote this should be dead' using errcode = '57P01';
end $$;
create trigger trap before insert on device_realtime_data
    for each row when (new.payload ? 'deadly') execute function trap();";

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    kill_by_message(scale, false).await
}

pub(crate) async fn run_with_all_dead(scale: Scale) -> Result<Findings> {
    kill_by_message(scale, true).await
}

async fn kill_by_message(scale: Scale, all_dead_at_last: bool) -> Result<Findings> {
    let messages = scale.count(MESSAGES, 4_000);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    let sql = sql_client(&stage.world.database).await?;
    sql.batch_execute(TRAP).await?;
    // Among others, so that they are fetched together with it.
    fleet.send(messages / 2, PER_SECOND).await?;
    fleet.confirmed().await?;
    let device = stage.world.device(0).await?;
    device.publish(&device.subject("monitoring"), DEADLY).await?;
    device.nats.flush().await?;
    fleet.send(messages / 2, PER_SECOND).await?;
    fleet.confirmed().await?;

    let (permitted, ack_wait) = permitted(&stage).await?;
    stage.add_replicas(REPLICAS).await?;
    let mut dead = HashSet::new();
    for delivery in 1..=permitted {
        let limit = ack_wait * 4 + Duration::from_secs(60);
        let victim = eventually_within(limit, "the next delivery kills", async || {
            whom_it_kills(&stage, &sql, &mut dead).await
        })
        .await
        .with_context(|| format!("waiting for delivery {delivery} of {permitted}"))?;
        if all_dead_at_last && delivery == permitted {
            while !stage.replicas.is_empty() {
                stage.kill(0)?;
            }
        } else {
            stage.kill_and_replace(victim)?;
        }
    }
    if all_dead_at_last {
        // The last delivery fails while nobody is there.
        tokio::time::sleep(ack_wait + Duration::from_secs(2)).await;
        stage.add_replicas(REPLICAS).await?;
    }
    judge(&stage, &fleet, ack_wait, permitted).await
}

async fn judge(
    stage: &Stage,
    fleet: &Fleet,
    ack_wait: Duration,
    permitted: u64,
) -> Result<Findings> {
    let limit = ack_wait * 2 + Duration::from_secs(30);
    eventually_within(limit, "the deadly message is parked", async || {
        Ok((stage.world.messages_in("DEAD_LETTERS").await? > 0).then_some(()))
    })
    .await?;
    stage.drained().await?;
    let mut findings = Findings::default();
    findings.tell("receivers killed by it", permitted);
    let letters = stage.world.dead_letters().await?;
    let right = letters.iter().filter(|letter| {
        letter.reason == "deliveries_exhausted" && letter.payload == DEADLY.as_bytes()
    });
    findings.must_be("parked once, with its reason", right.count() as u64, 1);
    let balance = Balance::of(stage, fleet).await?;
    findings.tell("others published", balance.published);
    findings.must_be("others lost", balance.lost, 0);
    findings.must_be("others doubled", balance.doubled, 0);
    findings.must_be("others parked", (letters.len() as u64).saturating_sub(1), 0);
    let figure =
        r#"wegweiser_dead_letters_total{reason="deliveries_exhausted",stream="MONITORING"}"#;
    stage.told(&mut findings, figure, "parking a message that no receiver survived").await?;
    Ok(findings)
}

/// How often the consumer delivers a message, and how long it waits between.
async fn permitted(stage: &Stage) -> Result<(u64, Duration)> {
    let stream = stage.jetstream().get_stream("MONITORING").await?;
    let consumer: PullConsumer =
        stream.get_consumer("records").await.map_err(|error| anyhow::anyhow!(error))?;
    let config = &consumer.cached_info().config;
    Ok((u64::try_from(config.max_deliver)?, config.ack_wait))
}

/// The replica that waits for the trap, once for each time that it falls into it.
async fn whom_it_kills(
    stage: &Stage,
    sql: &Client,
    dead: &mut HashSet<i32>,
) -> Result<Option<usize>> {
    let waiting = "select pid, client_port from pg_stat_activity where wait_event = 'PgSleep'";
    for row in sql.query(waiting, &[]).await? {
        let (backend, port): (i32, i32) = (row.get(0), row.get(1));
        let Some(inode) = socket_of(u16::try_from(port)?)? else { continue };
        let replicas = stage.replicas.iter();
        if let Some(victim) = { replicas }.position(|replica| owns(replica.id(), &inode))
            && dead.insert(backend)
        {
            return Ok(Some(victim));
        }
    }
    Ok(None)
}

/// The inode of the socket with this local port, as `/proc/net/tcp` (proc_net(5)) gives it.
fn socket_of(port: u16) -> Result<Option<String>> {
    let local = format!(":{port:04X}");
    for line in std::fs::read_to_string("/proc/net/tcp")?.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [_, address, _, _, _, _, _, _, _, inode, ..] = fields.as_slice()
            && address.ends_with(&local)
        {
            return Ok(Some((*inode).to_owned()));
        }
    }
    Ok(None)
}

fn owns(pid: u32, inode: &str) -> bool {
    let socket = format!("socket:[{inode}]");
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files
        .flatten()
        .any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&socket)))
}
