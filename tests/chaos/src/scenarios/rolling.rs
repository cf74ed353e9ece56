//! Replicas are replaced one after the other, as a rollout does, and nothing is delivered twice.

use anyhow::Result;
use runtime::shutdown::CancellationToken;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::{POSTGRES_LANES, REDIS_LANES, Stage, as_float};
use crate::world::eventually;

const REPLICAS: usize = 4;
const PER_SECOND: u64 = 4_000;

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let per_second = scale.count(PER_SECOND, 500);
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(REPLICAS).await?;
    let (stop, mut findings) = (CancellationToken::new(), Findings::default());
    let lanes = [REDIS_LANES, POSTGRES_LANES].concat();
    let rollout = async {
        tokio::time::sleep(scale.time(5, 2)).await;
        let mut ended_well = 0;
        for replica in 0..REPLICAS {
            ended_well += u64::from(stage.restart(replica).await?);
            tokio::time::sleep(scale.time(2, 1)).await;
        }
        findings.must_be("ended by SIGTERM without an error", ended_well, REPLICAS as u64);
        // A second's worth is what is on its way at any time.
        let normal = stage.caught_up(&lanes, per_second).await?;
        let seconds = format!("{:.1}", normal.as_secs_f64());
        findings.tell("lag back to normal after, s", seconds);
        let lag = "wegweiser_consumer_lag_messages";
        eventually(&format!("metric {lag} is normal too"), async || {
            let lags = stage.scrape(lag).await?;
            Ok(lags.iter().all(|lag| *lag <= as_float(per_second)).then_some(()))
        })
        .await?;
        findings.must(format!("metric {lag} shows it"), true);
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::try_join!(fleet.send_until(&stop, per_second), rollout)?;
    fleet.confirmed().await?;
    stage.drained().await?;
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    findings.must_be("redelivered", stage.all_progress().await?.redelivered, 0);
    findings.must_be("log \"stopped\"", stage.logged(": stopped") as u64, REPLICAS as u64);
    Ok(findings)
}
