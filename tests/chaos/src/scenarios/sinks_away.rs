//! Each sink goes away in several ways while the other one's lanes go on.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use runtime::shutdown::CancellationToken;
use tokio_postgres::Client;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::{MAX_CONNECTIONS, POSTGRES_LANES, REDIS_LANES, Stage};
use crate::world::sql_client;

const PER_SECOND: u64 = 3_000;
/// How long the quiet rate is measured before each fault.
const QUIET_SECONDS: u64 = 12;
/// Of the quiet rate, either way.
const WITHIN: f64 = 0.1;

/// A way to be away.
#[derive(Clone, Copy)]
enum Fault {
    RedisStopped,
    PostgresStopped,
    PostgresKilled,
    RedisFull,
    RedisFrozen,
    PostgresCrowded,
    PostgresReadOnly,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::RedisStopped,
        Self::PostgresStopped,
        Self::PostgresKilled,
        Self::RedisFull,
        Self::RedisFrozen,
        Self::PostgresCrowded,
        Self::PostgresReadOnly,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::RedisStopped => "Redis stopped",
            Self::PostgresStopped => "Postgres stopped",
            Self::PostgresKilled => "Postgres kill -9",
            Self::RedisFull => "Redis at maxmemory",
            Self::RedisFrozen => "Redis frozen",
            Self::PostgresCrowded => "Postgres at max_connections",
            Self::PostgresReadOnly => "Postgres read-only",
        }
    }

    /// How long it is away: the first two for a minute.
    fn time(self, scale: Scale) -> Duration {
        match self {
            Self::RedisStopped | Self::PostgresStopped => scale.time(60, 3),
            _ => scale.time(20, 3),
        }
    }

    /// Lanes of this sink, and those of the other.
    const fn lanes(self) -> [&'static [(&'static str, &'static str)]; 2] {
        match self {
            Self::RedisStopped | Self::RedisFull | Self::RedisFrozen => {
                [REDIS_LANES, POSTGRES_LANES]
            }
            _ => [POSTGRES_LANES, REDIS_LANES],
        }
    }
}

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let per_second = scale.count(PER_SECOND, 500);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(2).await?;
    let (stop, mut findings) = (CancellationToken::new(), Findings::default());
    let faults = async {
        tokio::time::sleep(scale.time(5, 1)).await;
        for fault in Fault::ALL {
            try_fault(&mut stage, fault, scale, per_second, &mut findings).await?;
        }
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::try_join!(fleet.send_until(&stop, per_second), faults)?;
    fleet.confirmed().await?;
    stage.drained().await?;
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    findings.must_be("redelivered", stage.all_progress().await?.redelivered, 0);
    for (stream, sink) in [("METRICS", "redis"), ("RESPONSES", "postgres")] {
        let figure = format!(r#"wegweiser_sink_retries_total{{stream="{stream}"}}"#);
        stage.told(&mut findings, &figure, &format!("{sink} is unavailable")).await?;
    }
    Ok(findings)
}

async fn try_fault(
    stage: &mut Stage,
    fault: Fault,
    scale: Scale,
    per_second: u64,
    findings: &mut Findings,
) -> Result<()> {
    let [ill, well] = fault.lanes();
    // A backlog that is drained meanwhile would count as rate.
    stage.caught_up(well, per_second / 10).await?;
    let quiet = stage.rate(well, scale.time(QUIET_SECONDS, 2)).await?;
    let crowd = begin(stage, fault).await?;
    let rate = stage.rate(well, fault.time(scale)).await?;
    let waiting = stage.progress(ill).await?.lag;
    let up = stage.scrape(&format!(r#"wegweiser_sink_up{{stream="{}"}}"#, ill[0].0)).await?;
    end(stage, fault, crowd).await?;
    let caught_up = stage.caught_up(ill, per_second).await?;
    let name = fault.name();
    let ratio = rate / quiet;
    let rates = format!("{quiet:.0}, {rate:.0}");
    findings.tell(format!("{name}: other sink, messages/s before and during"), rates);
    if scale.is_full() {
        findings.within(format!("{name}: other sink to quiet"), ratio, 1.0 - WITHIN, 1.0 + WITHIN);
        let down = up.iter().any(|up| *up < 1.0);
        findings.must(format!("{name}: metric wegweiser_sink_up shows it"), down);
    } else {
        findings.tell(format!("{name}: other sink to quiet"), format!("{ratio:.2}"));
    }
    findings.must(format!("{name}: messages waited"), waiting > 0);
    let seconds = format!("{:.1}", caught_up.as_secs_f64());
    findings.tell(format!("{name}: caught up after, s"), seconds);
    Ok(())
}

/// The connections that crowd Postgres.
type Crowd = Vec<Client>;

async fn begin(stage: &mut Stage, fault: Fault) -> Result<Crowd> {
    match fault {
        Fault::RedisStopped => stage.redis.stop()?,
        Fault::PostgresStopped => stage.postgres.stop()?,
        Fault::PostgresKilled => stage.postgres.kill()?,
        // A byte: whatever it has is too much.
        Fault::RedisFull => set_maxmemory(stage, "1").await?,
        Fault::RedisFrozen => stage.redis.pause()?,
        Fault::PostgresCrowded => return crowd(stage).await,
        Fault::PostgresReadOnly => set_read_only(stage, "on").await?,
    }
    Ok(Vec::new())
}

async fn end(stage: &mut Stage, fault: Fault, crowd: Crowd) -> Result<()> {
    drop(crowd);
    match fault {
        Fault::RedisStopped => stage.redis.restart(),
        Fault::PostgresStopped | Fault::PostgresKilled => stage.postgres.restart(),
        Fault::RedisFull => set_maxmemory(stage, "0").await,
        Fault::RedisFrozen => stage.redis.resume(),
        Fault::PostgresCrowded => Ok(()),
        Fault::PostgresReadOnly => set_read_only(stage, "off").await,
    }
}

/// As a standby is that has not been made the primary.
async fn set_read_only(stage: &Stage, on_or_off: &str) -> Result<()> {
    let client = sql_client(&stage.world.database).await?;
    let setting = format!("alter system set default_transaction_read_only = {on_or_off}");
    client.batch_execute(&setting).await?;
    client.batch_execute("select pg_reload_conf()").await.context("reloading Postgres")
}

async fn set_maxmemory(stage: &Stage, bytes: &str) -> Result<()> {
    let mut redis = stage.world.redis().await?;
    let set = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).to_owned();
    set.query_async::<()>(&mut redis).await.context("setting maxmemory")
}

/// Takes every connection, the receivers' too.
async fn crowd(stage: &Stage) -> Result<Crowd> {
    // What receivers take between being thrown out and the last place being taken.
    const ROUNDS: usize = 50;
    let mut crowd = vec![sql_client(&stage.world.database).await?];
    let throw_out = "select pg_terminate_backend(pid) from pg_stat_activity
                     where application_name = 'wegweiser' and pid <> pg_backend_pid()";
    for _ in 0..ROUNDS {
        crowd[0].execute(throw_out, &[]).await?;
        while let Ok(client) = sql_client(&stage.world.database).await {
            crowd.push(client);
        }
        let ours = "select count(*) from pg_stat_activity where application_name = 'wegweiser'";
        let left: i64 = crowd[0].query_one(ours, &[]).await?.get(0);
        if left == 0 {
            return Ok(crowd);
        }
    }
    bail!("receivers kept a connection of {MAX_CONNECTIONS} in {ROUNDS} rounds")
}
