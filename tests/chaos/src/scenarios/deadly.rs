//! Messages that kill whoever writes them ([`Trap`]) or reads them: parked once, and nothing else.

use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream::consumer::PullConsumer;

use super::trap::Trap;
use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::Stage;
use crate::world::{eventually, eventually_within};

pub(super) const REPLICAS: usize = 3;
const MESSAGES: u64 = 20_000;
pub(super) const PER_SECOND: u64 = 20_000;
const DEADLY: &str = r#"{"deadly":true}"#;
/// What attempts, pauses and a busy machine may add to the waits for `ack_wait`.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Of a stream from which retention removes everything.
const NO_AGE: Duration = Duration::from_millis(100);

/// What is deadly in a scenario, and what became of its receivers.
pub(super) struct Deadly<'a> {
    pub(super) messages: u64,
    /// What its dead letter has to hold.
    pub(super) payload: &'a [u8],
    pub(super) killed: u64,
}

/// How long the consumer of reports waits between deliveries, and how many it permits.
#[derive(Clone, Copy)]
pub(super) struct Permitted {
    pub(super) deliveries: u64,
    pub(super) ack_wait: Duration,
}

impl Permitted {
    /// Longest wait for the next delivery to end.
    pub(super) fn patience(self) -> Duration {
        self.ack_wait * 4 + PATIENCE
    }
}

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    kill_until_parked(scale, 1).await
}

/// Several, one beside the other.
pub(crate) async fn run_with_several(scale: Scale) -> Result<Findings> {
    const SEVERAL: u64 = 2;
    kill_until_parked(scale, SEVERAL).await
}

async fn kill_until_parked(scale: Scale, messages: u64) -> Result<Findings> {
    let (mut stage, fleet, mut trap) = set_the_scene(scale, messages).await?;
    let patience = permitted(&stage).await?.patience();
    let mut killed = 0;
    stage.add_replicas(REPLICAS).await?;
    loop {
        let what = format!("{messages} are parked, or one of them kills; {killed} killed");
        let victim = eventually_within(patience, &what, async || {
            if stage.stored("DEAD_LETTERS").await? >= messages {
                return Ok(Some(None));
            }
            Ok(trap.victim(&stage).await?.map(Some))
        });
        let Some(victim) = victim.await? else { break };
        stage.kill_and_replace(victim)?;
        killed += 1;
    }
    judge(&stage, &fleet, &Deadly { messages, payload: DEADLY.as_bytes(), killed }).await
}

/// Every replica is dead when the last permitted delivery fails.
pub(crate) async fn run_with_all_dead(scale: Scale) -> Result<Findings> {
    let (mut stage, fleet, killed) = kill_all_at_last(scale).await?;
    // The last delivery fails while nobody is there.
    tokio::time::sleep(permitted(&stage).await?.ack_wait + Duration::from_secs(2)).await;
    stage.add_replicas(REPLICAS).await?;
    judge(&stage, &fleet, &Deadly { messages: 1, payload: DEADLY.as_bytes(), killed }).await
}

/// Likewise, and retention removes the message before another receiver is there.
pub(crate) async fn run_with_original_removed(scale: Scale) -> Result<Findings> {
    let (mut stage, fleet, killed) = kill_all_at_last(scale).await?;
    let mut config = stage.jetstream().get_stream("MONITORING").await?.cached_info().config.clone();
    config.max_age = NO_AGE;
    config.duplicate_window = NO_AGE;
    stage.jetstream().update_stream(config).await?;
    eventually_within(PATIENCE, "retention removes every report", async || {
        Ok((stage.stored("MONITORING").await? == 0).then_some(()))
    })
    .await?;
    stage.add_replicas(REPLICAS).await?;
    judge(&stage, &fleet, &Deadly { messages: 1, payload: b"", killed }).await
}

/// Every receiver is dead after the message's last permitted delivery.
async fn kill_all_at_last(scale: Scale) -> Result<(Stage, Fleet, u64)> {
    let (mut stage, fleet, mut trap) = set_the_scene(scale, 1).await?;
    let permitted = permitted(&stage).await?;
    stage.add_replicas(REPLICAS).await?;
    for delivery in 1..=permitted.deliveries {
        let what = format!("delivery {delivery} of {} kills", permitted.deliveries);
        let victim =
            eventually_within(permitted.patience(), &what, async || trap.victim(&stage).await);
        let victim = victim.await?;
        if delivery < permitted.deliveries {
            stage.kill_and_replace(victim)?;
        }
    }
    while !stage.replicas.is_empty() {
        stage.kill(0)?;
    }
    Ok((stage, fleet, permitted.deliveries))
}

/// The trap, and the deadly messages among others, so that they are fetched together.
async fn set_the_scene(scale: Scale, deadly: u64) -> Result<(Stage, Fleet, Trap)> {
    let messages = scale.count(MESSAGES, 4_000);
    let stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    let trap = Trap::set(&stage).await?;
    fleet.send(messages / 2, PER_SECOND).await?;
    fleet.confirmed().await?;
    publish(&stage, deadly, DEADLY).await?;
    fleet.send(messages / 2, PER_SECOND).await?;
    fleet.confirmed().await?;
    Ok((stage, fleet, trap))
}

/// So many deadly reports, until the stream has them.
pub(super) async fn publish(stage: &Stage, count: u64, payload: &str) -> Result<()> {
    let (device, before) = (stage.world.device(0).await?, stage.stored("MONITORING").await?);
    for _ in 0..count {
        device.publish(&device.subject("monitoring"), payload).await?;
    }
    eventually("the stream has the deadly ones", async || {
        Ok((stage.stored("MONITORING").await? >= before + count).then_some(()))
    })
    .await
}

pub(super) async fn judge(stage: &Stage, fleet: &Fleet, deadly: &Deadly<'_>) -> Result<Findings> {
    let patience = permitted(stage).await?.patience();
    eventually_within(patience, "what is deadly is parked", async || {
        Ok((stage.stored("DEAD_LETTERS").await? >= deadly.messages).then_some(()))
    })
    .await?;
    stage.drained().await?;
    let mut findings = Findings::default();
    findings.tell("receivers killed by it", deadly.killed);
    let letters = stage.world.dead_letters().await?;
    let right = letters.iter().filter(|letter| {
        letter.reason == "deliveries_exhausted"
            && letter.payload == deadly.payload
            && letter.tombstone.is_empty() != deadly.payload.is_empty()
    });
    let what = if deadly.payload.is_empty() {
        "parked once, as a tombstone that says so"
    } else {
        "parked once, byte for byte, with its reason"
    };
    findings.must_be(what, right.count() as u64, deadly.messages);
    let balance = Balance::of(stage, fleet).await?;
    findings.tell("others published", balance.published);
    findings.must_be("others lost", balance.lost, 0);
    findings.must_be("others doubled", balance.doubled, 0);
    let others = (letters.len() as u64).saturating_sub(deadly.messages);
    findings.must_be("others parked", others, 0);
    let figure =
        r#"wegweiser_dead_letters_total{reason="deliveries_exhausted",stream="MONITORING"}"#;
    stage.told(&mut findings, figure, "parking a message that no receiver survived").await?;
    Ok(findings)
}

pub(super) async fn permitted(stage: &Stage) -> Result<Permitted> {
    let stream = stage.jetstream().get_stream("MONITORING").await?;
    let consumer: PullConsumer =
        stream.get_consumer("records").await.map_err(|error| anyhow::anyhow!(error))?;
    let config = &consumer.cached_info().config;
    Ok(Permitted { deliveries: u64::try_from(config.max_deliver)?, ack_wait: config.ack_wait })
}
