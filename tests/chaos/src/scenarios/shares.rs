//! Replicas share the work evenly, and a new one gets its share at once.

use anyhow::{Context as _, Result};
use runtime::shutdown::CancellationToken;
use tokio::time::Instant;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::{Stage, as_float};
use crate::world::eventually;

const PER_SECOND: u64 = 4_000;
/// Of an even share, either way.
const WITHIN: f64 = 0.3;
const STREAMS: [&str; 2] = ["METRICS", "RESPONSES"];

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let per_second = scale.count(PER_SECOND, 500);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    let (stop, mut findings) = (CancellationToken::new(), Findings::default());
    let shares = async {
        for replicas in [1, 2, 4] {
            let more = replicas - stage.replicas.len();
            let started = Instant::now();
            stage.add_replicas(more).await?;
            eventually("every replica has done something", async || {
                let done = stage.scrape(&done(STREAMS[0])).await?;
                Ok(done.iter().all(|done| *done > 0.0).then_some(()))
            })
            .await?;
            let seconds = format!("{:.1}", started.elapsed().as_secs_f64());
            findings.tell(format!("of {replicas}: takes work after, s"), seconds);
            for stream in STREAMS {
                measure(&stage, stream, scale, &mut findings).await?;
            }
        }
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::try_join!(fleet.send_until(&stop, per_second), shares)?;
    fleet.confirmed().await?;
    stage.drained().await?;
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    stage.told(&mut findings, "wegweiser_messages_total", "connected to the broker").await?;
    Ok(findings)
}

fn done(stream: &str) -> String {
    format!(r#"wegweiser_messages_total{{stream="{stream}",verdict="done"}}"#)
}

async fn measure(stage: &Stage, stream: &str, scale: Scale, findings: &mut Findings) -> Result<()> {
    let figure = done(stream);
    let before = stage.scrape(&figure).await?;
    tokio::time::sleep(scale.time(10, 3)).await;
    let after = stage.scrape(&figure).await?;
    let shares: Vec<f64> = after.iter().zip(&before).map(|(now, then)| now - then).collect();
    let even = shares.iter().sum::<f64>() / as_float(shares.len() as u64);
    let replicas = shares.len();
    let least = shares.iter().copied().reduce(f64::min).context("a replica")?;
    let most = shares.iter().copied().reduce(f64::max).context("a replica")?;
    for (which, share) in [("smallest", least), ("largest", most)] {
        let what = format!("{stream} of {replicas}: {which} share to even");
        findings.within(what, share / even, 1.0 - WITHIN, 1.0 + WITHIN);
    }
    Ok(())
}
