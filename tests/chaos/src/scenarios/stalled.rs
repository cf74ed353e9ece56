//! A consumer that stands still: paused on the server, or behind connections that are half open.

use std::time::Duration;

use anyhow::Result;
use devstack::TcpProxy;
use runtime::shutdown::CancellationToken;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::{POSTGRES_LANES, REDIS_LANES, Stage};
use crate::world::eventually_within;

const PER_SECOND: u64 = 500;
const NOTICED_WITHIN: Duration = Duration::from_secs(60);
/// Longer than the scenario needs: it resumes by itself.
const PAUSE: Duration = Duration::from_secs(600);
const STALLED: &str = "messages wait and none is delivered";
const SILENT: &str = "pull request went silent";

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let proxy = TcpProxy::start(stage.world.nats.port())?;
    stage.tell_replicas("NATS_URL", format!("nats://127.0.0.1:{}", proxy.port()));
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(2).await?;
    let (stop, mut findings) = (CancellationToken::new(), Findings::default());
    let lanes = [REDIS_LANES, POSTGRES_LANES].concat();
    let stalls = async {
        tokio::time::sleep(scale.time(5, 2)).await;
        let stream = stage.jetstream().get_stream("RESPONSES").await?;
        stream.pause_consumer("records", OffsetDateTime::now_utc() + PAUSE).await?;
        let seconds = noticed(&stage, STALLED).await?;
        findings.tell("paused on the server: noticed after, s", seconds);
        let figure = r#"wegweiser_consumer_lag_messages{stream="RESPONSES"}"#;
        stage.told(&mut findings, figure, STALLED).await?;
        stream.resume_consumer("records").await?;
        let again = stage.caught_up(&lanes, PER_SECOND).await?;
        let seconds = format!("{:.1}", again.as_secs_f64());
        findings.tell("resumed: caught up after, s", seconds);

        proxy.half_open()?;
        let seconds = noticed(&stage, SILENT).await?;
        findings.tell("half-open: noticed after, s", seconds);
        tokio::time::sleep(scale.time(10, 4)).await;
        proxy.heal()?;
        let again = stage.caught_up(&lanes, PER_SECOND).await?;
        let seconds = format!("{:.1}", again.as_secs_f64());
        findings.tell("healed: caught up after, s", seconds);
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::try_join!(fleet.send_until(&stop, PER_SECOND), stalls)?;
    fleet.confirmed().await?;
    stage.drained().await?;
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    Ok(findings)
}

/// Seconds until a replica says `line` once more.
async fn noticed(stage: &Stage, line: &str) -> Result<String> {
    let (started, before) = (Instant::now(), stage.logged(line));
    eventually_within(NOTICED_WITHIN, line, async || {
        Ok((stage.logged(line) > before).then_some(()))
    })
    .await?;
    Ok(format!("{:.1}", started.elapsed().as_secs_f64()))
}
