//! A backlog far larger than what a replica may hold: its memory does not follow it.

use anyhow::Result;
use tokio::time::Instant;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::{Stage, as_float};
use crate::world::eventually;

const MESSAGES: u64 = 2_000_000;
/// What docs/scaling.md states for points: program, pools and two batches.
const PEAK_MAX_MIB: f64 = 128.0;
const MIB: u64 = 1024 * 1024;

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let messages = scale.count(MESSAGES, 60_000);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    fleet.send_points(messages).await?;
    fleet.confirmed().await?;
    let backlog = stage.all_progress().await?.lag;

    let (started, mut findings) = (Instant::now(), Findings::default());
    stage.add_replicas(1).await?;
    let lag = "wegweiser_consumer_lag_messages";
    let seen = eventually("the metric shows the backlog", async || {
        Ok(stage.scrape(lag).await?.first().copied().filter(|lag| *lag > 0.0))
    });
    let seen = seen.await?;
    stage.drained().await?;
    let rate = as_float(backlog) / started.elapsed().as_secs_f64();
    findings.tell("backlog, messages", backlog);
    findings.tell("drained by one replica, messages/s", format!("{rate:.0}"));
    let peak = stage.replicas[0].peak_resident_bytes()? / MIB;
    findings.within("peak resident memory, MiB", as_float(peak), 0.0, PEAK_MAX_MIB);
    findings.tell(format!("metric {lag} at first"), format!("{seen:.0}"));
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    findings.must(
        "log \"connected to the broker\" tells it",
        stage.logged("connected to the broker") > 0,
    );
    Ok(findings)
}
