//! Receivers die at any instant, again and again, and others take over what they held.

use anyhow::Result;
use rand::RngExt as _;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::Stage;

const REPLICAS: usize = 3;
const KILLS: u64 = 20;
const MESSAGES: u64 = 500_000;
/// Slow enough for what the first kills held to come again while others go on.
const PER_SECOND: u64 = 8_000;

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let (messages, kills) = (scale.count(MESSAGES, 8_000), scale.count(KILLS, 4));
    let per_second = scale.count(PER_SECOND, 1_000);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(REPLICAS).await?;
    tokio::try_join!(
        fleet.send(messages, per_second),
        kill_again_and_again(&mut stage, &fleet, messages, kills)
    )?;
    fleet.confirmed().await?;
    let drained = stage.drained().await?;
    let mut findings = Findings::default();
    findings.tell("kills", kills);
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    findings.tell("redelivered", stage.all_progress().await?.redelivered);
    findings.tell("drained after the last message, s", format!("{:.1}", drained.as_secs_f64()));
    let redelivered = "wegweiser_redelivered_messages_total";
    if scale.is_full() {
        stage.told(&mut findings, redelivered, "connected to the broker").await?;
    }
    findings.must_be("started again", stage.logged("connected to the broker") as u64, kills + 3);
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
        let victim = rand::rng().random_range(0..REPLICAS);
        stage.kill_and_replace(victim)?;
    }
    Ok(())
}
