//! The broker dies while agents publish; what it acknowledged is in the streams when it is back.

use anyhow::Result;
use tokio::time::Instant;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::Stage;

const KILLS: u64 = 5;
const MESSAGES: u64 = 150_000;
const PER_SECOND: u64 = 5_000;

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let (messages, kills) = (scale.count(MESSAGES, 6_000), scale.count(KILLS, 2));
    let per_second = scale.count(PER_SECOND, 1_000);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(2).await?;
    tokio::try_join!(
        fleet.send(messages, per_second),
        kill_again_and_again(&mut stage, &fleet, messages, kills)
    )?;
    let back = Instant::now();
    fleet.confirmed().await?;
    let confirmed = back.elapsed();
    stage.drained().await?;
    let mut findings = Findings::default();
    findings.tell("kills", kills);
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    let seconds = format!("{:.1}", confirmed.as_secs_f64());
    findings.tell("all acknowledged after the last message, s", seconds);
    let reconnects = "wegweiser_broker_reconnects_total";
    stage.told(&mut findings, reconnects, "connection to the broker lost").await?;
    Ok(findings)
}

async fn kill_again_and_again(
    stage: &mut Stage,
    fleet: &Fleet,
    messages: u64,
    kills: u64,
) -> Result<()> {
    for kill in 1..=kills {
        fleet.has_handed_over(messages * kill / (kills + 1)).await?;
        stage.world.nats.kill()?;
        stage.world.nats.restart()?;
    }
    Ok(())
}
