//! A real Prometheus with our rules while things go wrong: which alert fires when, and that no other
//! does.
//!
//! It scrapes and evaluates every second rather than every fifteen; the rules are those of
//! deploy/observability, with their own times.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use protocol::UnixMillis;
use runtime::shutdown::CancellationToken;
use serde_json::Value;
use tokio::time::Instant;

use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::{Stage, as_float};
use crate::world::{Prometheus, eventually_within, free_port};

const PER_SECOND: u64 = 100;
const POISON_MESSAGES: usize = 50;
/// The longest window of a rule, and a little.
const CHANGES_WITHIN: Duration = Duration::from_secs(690);
const DAY: Duration = Duration::from_secs(86_400);
/// Less than the rule's seven days.
const ENDS_SOON: Duration = DAY.saturating_mul(5);
const ENDS_LATER: Duration = DAY.saturating_mul(90);

/// What has to fire, and nothing else.
const INTENDED: [&str; 4] =
    ["CredentialEnding", "DeadLettersRising", "NobodyConsuming", "SinkAway"];

pub(crate) async fn run(_scale: Scale) -> Result<Findings> {
    let mut stage = Stage::start(None).await?;
    let creds = stage.world.path("receiver.creds");
    stage.world.receiver_creds(&creds, ENDS_LATER)?;
    stage.tell_replicas("NATS_CREDS", creds.display().to_string());
    // A successor answers where its predecessor did.
    let listen = format!("127.0.0.1:{}", free_port()?);
    stage.tell_replicas("WEGWEISER_RECEIVER_LISTEN", listen.clone());
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(1).await?;
    let (stop, mut findings) = (CancellationToken::new(), Findings::default());
    let watch = Watch { prometheus: Prometheus::start(&listen, "1s")?, began: UnixMillis::now() };
    let faults = async {
        watch.scraped("wegweiser_dead_letters_total").await?;
        watch.scraped("wegweiser_consumer_lag_messages").await?;
        let poisoned = poison(&stage).await?;
        watch.told(&mut findings, "poison burst", "DeadLettersRising", poisoned).await?;

        stage.world.receiver_creds(&creds, ENDS_SOON)?;
        let began = Instant::now();
        watch.told(&mut findings, "credential ends in 5 days", "CredentialEnding", began).await?;
        stage.world.receiver_creds(&creds, ENDS_LATER)?;
        watch.quiet(&mut findings, "renewed", "CredentialEnding").await?;

        stage.redis.kill()?;
        let began = Instant::now();
        watch.told(&mut findings, "Redis stopped", "SinkAway", began).await?;
        stage.redis.restart()?;
        watch.quiet(&mut findings, "Redis back", "SinkAway").await?;

        let mut replica = stage.replicas.remove(0);
        replica.stop().await?;
        let began = Instant::now();
        watch.told(&mut findings, "receivers stopped", "NobodyConsuming", began).await?;
        stage.add_replicas(1).await?;
        watch.quiet(&mut findings, "a receiver started", "NobodyConsuming").await?;
        watch.quiet(&mut findings, "no more poison", "DeadLettersRising").await?;
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::try_join!(fleet.send_until(&stop, PER_SECOND), faults)?;
    fleet.confirmed().await?;
    stage.drained().await?;
    watch.judge(&mut findings).await?;
    Ok(findings)
}

/// Messages that no decoder takes.
async fn poison(stage: &Stage) -> Result<Instant> {
    let device = stage.world.device(0).await?;
    for _ in 0..POISON_MESSAGES {
        device.publish(&device.subject("monitoring"), "not json").await?;
    }
    device.nats.flush().await?;
    Ok(Instant::now())
}

/// Prometheus, and since when it looks.
struct Watch {
    prometheus: Prometheus,
    began: UnixMillis,
}

impl Watch {
    /// Waits until a figure was scraped.
    async fn scraped(&self, figure: &str) -> Result<()> {
        eventually_within(CHANGES_WITHIN, figure, async || {
            let answer = self.prometheus.ask(&format!("query?query={figure}")).await?;
            Ok(answer.and_then(|answer| answer["data"]["result"].get(0).map(|_| ())))
        })
        .await
    }

    /// Waits until an alert fires, `began` ago.
    async fn told(
        &self,
        findings: &mut Findings,
        fault: &str,
        alert: &str,
        began: Instant,
    ) -> Result<()> {
        eventually_within(CHANGES_WITHIN, alert, async || {
            Ok(self
                .firing()
                .await?
                .is_some_and(|firing| firing.contains(&alert.to_owned()))
                .then_some(()))
        })
        .await?;
        let seconds = format!("{:.0}", began.elapsed().as_secs_f64());
        findings.tell(format!("{fault}: {alert} fires after, s"), seconds);
        Ok(())
    }

    /// Waits until an alert fires no longer.
    async fn quiet(&self, findings: &mut Findings, mended: &str, alert: &str) -> Result<()> {
        let began = Instant::now();
        eventually_within(CHANGES_WITHIN, alert, async || {
            let firing = self.firing().await?;
            Ok(firing.is_some_and(|firing| !firing.contains(&alert.to_owned())).then_some(()))
        })
        .await?;
        let seconds = format!("{:.0}", began.elapsed().as_secs_f64());
        findings.tell(format!("{mended}: {alert} clears after, s"), seconds);
        Ok(())
    }

    async fn firing(&self) -> Result<Option<Vec<String>>> {
        let Some(answer) = self.prometheus.ask("alerts").await? else { return Ok(None) };
        let alerts = answer["data"]["alerts"].as_array().context("alerts")?;
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        let names = firing.filter_map(|alert| alert["labels"]["alertname"].as_str());
        Ok(Some(names.map(str::to_owned).collect()))
    }

    /// Every alert that fired at any second, with how long: those that should, and no other.
    async fn judge(&self, findings: &mut Findings) -> Result<()> {
        let (from, to) = (self.began.get() / 1_000, UnixMillis::now().get() / 1_000);
        let path = format!(
            "query_range?query=ALERTS%7Balertstate=%22firing%22%7D&start={from}&end={to}&step=1"
        );
        let answer = self.prometheus.ask(&path).await?.context("its record of alerts")?;
        let mut seconds: BTreeMap<String, u64> = BTreeMap::new();
        for series in answer["data"]["result"].as_array().context("series")? {
            let name = series["metric"]["alertname"].as_str().context("a name")?;
            let fired = series["values"].as_array().map_or(0, |values: &Vec<Value>| values.len());
            *seconds.entry(name.to_owned()).or_default() += u64::try_from(fired)?;
        }
        for (name, seconds) in &seconds {
            findings.within(format!("{name} fired, s"), as_float(*seconds), 1.0, f64::INFINITY);
        }
        let fired: Vec<&str> = seconds.keys().map(String::as_str).collect();
        let others: Vec<&&str> = fired.iter().filter(|name| !INTENDED.contains(name)).collect();
        findings.must_be(format!("alerts that should not fire {others:?}"), others.len() as u64, 0);
        let missing = INTENDED.iter().filter(|name| !fired.contains(name)).count();
        findings.must_be("alerts that should fire and did not", missing as u64, 0);
        Ok(())
    }
}
