//! Streams reach their disk limit: agents keep what is refused, and deliver it once there is space.
//!
//! The backend's account takes no stream without `max_bytes`, so a stream's own limit is the one
//! that is reached; the broker's is the sum of them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use runtime::shutdown::CancellationToken;
use tokio::time::Instant;

use crate::agents_log::AgentsLog;
use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::Stage;
use crate::world::eventually_within;

/// Streams that refuse what is new when they are full, with the kinds that they hold.
const REFUSING: [(&str, &str); 2] = [("RESPONSES", "response"), ("MONITORING", "monitoring")];
const LIMIT_BYTES: i64 = 64 * 1024;
const FREED_BYTES: i64 = 1024 * 1024 * 1024;
const PER_SECOND: u64 = 4_000;
const FULL_WITHIN: Duration = Duration::from_secs(180);
const KEPT_WORDS: &str = "not confirmed, kept to be sent again";
/// What agents hold of each kind before space is freed; all kinds together are bounded, and reports
/// are a fifth of what is kept.
const KEPT: u64 = 4_000;

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let per_second = scale.count(PER_SECOND, 1_000);
    let kept = scale.count(KEPT, 200);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    limit(&stage, LIMIT_BYTES).await?;
    let log = AgentsLog::begin()?;
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(2).await?;
    let (stop, mut findings) = (CancellationToken::new(), Findings::default());
    let filling = async {
        for (stream, kind) in REFUSING {
            let what = format!("agents keep what {stream} refuses");
            eventually_within(FULL_WITHIN, &what, async || {
                Ok((fleet.waiting_of(kind) >= kept).then_some(()))
            })
            .await?;
        }
        for (_, kind) in REFUSING {
            findings.tell(format!("kept by agents: {kind}"), fleet.waiting_of(kind));
        }
        let refusal = fleet.last_error().context("the outboxes say why")?;
        findings.must(format!("agents say {refusal:?}"), refusal.contains("refuses"));
        findings.must(format!("log {KEPT_WORDS:?} tells it"), log.lines_with(KEPT_WORDS)? > 0);
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::try_join!(fleet.send_until(&stop, per_second), filling)?;
    limit(&stage, FREED_BYTES).await?;
    let freed = Instant::now();
    fleet.confirmed().await?;
    let seconds = format!("{:.1}", freed.elapsed().as_secs_f64());
    findings.tell("all delivered after space was freed, s", seconds);
    stage.drained().await?;
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    Ok(findings)
}

async fn limit(stage: &Stage, max_bytes: i64) -> Result<()> {
    for (stream, _) in REFUSING {
        let stream = stage.jetstream().get_stream(stream).await?;
        let mut config = stream.cached_info().config.clone();
        config.max_bytes = max_bytes;
        stage.jetstream().update_stream(config).await?;
    }
    Ok(())
}
