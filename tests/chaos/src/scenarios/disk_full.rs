//! The broker's disk limit is reached: agents keep what it refuses, and deliver it later.

use std::time::Duration;

use anyhow::{Context as _, Result};
use runtime::shutdown::CancellationToken;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::Stage;
use crate::world::eventually_within;

const STORE_BYTES: u64 = 16 * 1024 * 1024;
const PER_SECOND: u64 = 4_000;
const FULL_WITHIN: Duration = Duration::from_secs(180);
/// What agents hold before space is freed.
const KEPT: u64 = 4_000;
/// Not of the product: it only takes up space, in a stream of its own.
const BALLAST: &str = "BALLAST";
const BALLAST_MESSAGE_BYTES: usize = 64 * 1024;

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let per_second = scale.count(PER_SECOND, 1_000);
    let kept = scale.count(KEPT, 1_000);
    let mut stage = Stage::start(scale.ack_wait(), Some(STORE_BYTES)).await?;
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(2).await?;
    let (stop, mut findings) = (CancellationToken::new(), Findings::default());
    let filling = async {
        let messages = fill(&stage).await?;
        findings.tell("filled the store with, messages of 64 KiB", messages);
        eventually_within(FULL_WITHIN, "agents keep what is refused", async || {
            Ok((fleet.waiting() >= kept).then_some(()))
        })
        .await?;
        // Records are what must never be dropped.
        findings.within(
            "responses kept by agents",
            as_f64(fleet.waiting_of("response")),
            1.0,
            f64::INFINITY,
        );
        stop.cancel();
        let refusal = fleet.last_error().context("the outboxes say why")?;
        findings.must(format!("agents say {refusal:?}"), refusal.contains("refuses"));
        stage.jetstream().get_stream(BALLAST).await?.purge().await?;
        anyhow::Ok(())
    };
    tokio::try_join!(fleet.send_until(&stop, per_second), filling)?;
    let freed = tokio::time::Instant::now();
    fleet.confirmed().await?;
    let seconds = format!("{:.1}", freed.elapsed().as_secs_f64());
    findings.tell("all delivered after space was freed, s", seconds);
    stage.drained().await?;
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    Ok(findings)
}

fn as_f64(count: u64) -> f64 {
    crate::stage::as_float(count)
}

/// Takes up all space that is left; how many messages that took.
async fn fill(stage: &Stage) -> Result<u64> {
    let config = async_nats::jetstream::stream::Config {
        name: BALLAST.to_owned(),
        subjects: vec!["ballast".to_owned()],
        ..Default::default()
    };
    stage.jetstream().create_stream(config).await?;
    let mut messages = 0;
    loop {
        let ballast = bytes::Bytes::from(vec![b'x'; BALLAST_MESSAGE_BYTES]);
        if stage.jetstream().publish("ballast", ballast).await?.await.is_err() {
            return Ok(messages);
        }
        messages += 1;
    }
}
