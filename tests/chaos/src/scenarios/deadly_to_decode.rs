//! A message that kills whoever decodes it, before anything of it is written.
//!
//! Replicas may have so much memory and no more. Whoever builds the tree of a report that is made
//! of brackets asks for more, and is aborted by its own allocator, as by any bug in decoding.

use anyhow::Result;

use super::deadly::{self, Deadly, PER_SECOND, REPLICAS};
use crate::findings::Findings;
use crate::load::Fleet;
use crate::memory::{data_bytes, has_ended, limit_data};
use crate::settings::Scale;
use crate::stage::Stage;
use crate::world::eventually_within;

const MESSAGES: u64 = 20_000;
/// Beyond what a replica had after the first half of the load; a tenth of what the tree takes.
const ROOM_BYTES: u64 = 16 * 1024 * 1024;
/// Arrays in arrays, as deep as the decoder follows; each takes more than a hundred bytes.
const DEPTH: usize = 120;
/// Just below the largest report.
const PAYLOAD_BYTES: usize = 500 * 1024;

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let messages = scale.count(MESSAGES, 4_000);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(1).await?;
    fleet.send(messages / 2, PER_SECOND).await?;
    fleet.confirmed().await?;
    stage.drained().await?;
    let limit = data_bytes(&stage.replicas[0])? + ROOM_BYTES;
    stage.kill(0)?;

    let payload = deep_report();
    deadly::publish(&stage, 1, &payload).await?;
    fleet.send(messages / 2, PER_SECOND).await?;
    fleet.confirmed().await?;
    let patience = deadly::permitted(&stage).await?.patience();
    for _ in 0..REPLICAS {
        add_limited(&mut stage, limit)?;
    }
    let mut killed = 0;
    loop {
        let what = format!("the report is parked, or kills its reader; {killed} killed");
        let victim = eventually_within(patience, &what, async || {
            if stage.stored("DEAD_LETTERS").await? > 0 {
                return Ok(Some(None));
            }
            Ok(ended(&stage)?.map(Some))
        });
        let Some(victim) = victim.await? else { break };
        stage.kill(victim)?;
        add_limited(&mut stage, limit)?;
        killed += 1;
    }
    let payload = payload.as_bytes();
    let mut findings =
        deadly::judge(&stage, &fleet, &Deadly { messages: 1, payload, killed }).await?;
    let aborted = stage.logged("memory allocation of");
    findings.must_be("of them aborted by their own allocator", aborted as u64, killed);
    Ok(findings)
}

/// Limited before it has found the broker.
fn add_limited(stage: &mut Stage, limit_bytes: u64) -> Result<()> {
    stage.begin_replica()?;
    match stage.replicas.last() {
        Some(newest) => limit_data(newest, limit_bytes),
        None => Ok(()),
    }
}

fn ended(stage: &Stage) -> Result<Option<usize>> {
    for (index, replica) in stage.replicas.iter().enumerate() {
        if has_ended(replica)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn deep_report() -> String {
    let part = format!("{}0{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let parts = vec![part.as_str(); PAYLOAD_BYTES / (part.len() + 1)];
    format!(r#"{{"parts":[{}]}}"#, parts.join(","))
}
