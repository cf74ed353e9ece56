//! The network between receivers and each server: cut, slow, and open without anything passing.

use std::time::Duration;

use anyhow::Result;
use devstack::TcpProxy;
use runtime::shutdown::CancellationToken;
use secrecy::ExposeSecret as _;

use crate::books::Balance;
use crate::findings::Findings;
use crate::load::Fleet;
use crate::settings::Scale;
use crate::stage::{POSTGRES_LANES, REDIS_LANES, Stage};

const PER_SECOND: u64 = 1_000;
const LATENCY: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
enum Weather {
    Cut,
    Slow,
    HalfOpen,
}

impl Weather {
    const ALL: [Self; 3] = [Self::Cut, Self::Slow, Self::HalfOpen];

    const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Slow => "2 s latency",
            Self::HalfOpen => "half-open",
        }
    }

    fn begin(self, proxy: &TcpProxy) -> Result<()> {
        match self {
            Self::Cut => proxy.cut(),
            Self::Slow => proxy.set_latency(LATENCY),
            Self::HalfOpen => proxy.half_open(),
        }
    }
}

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let mut stage = Stage::start(scale.ack_wait()).await?;
    let proxies = [
        ("broker", TcpProxy::start(stage.world.nats.port())?),
        ("Redis", TcpProxy::start(stage.redis.port())?),
        ("Postgres", TcpProxy::start(stage.postgres.port())?),
    ];
    let [(_, broker), (_, redis), (_, postgres)] = &proxies;
    let database = stage.world.database.clone().at_port(postgres.port());
    stage.tell_replicas("NATS_URL", format!("nats://127.0.0.1:{}", broker.port()));
    stage.tell_replicas("METRICS_REDIS_PORT", redis.port().to_string());
    stage.tell_replicas("DATABASE_URL", database.url().expose_secret().to_owned());
    let fleet = Fleet::start(&stage.world).await?;
    stage.add_replicas(2).await?;
    let (stop, mut findings) = (CancellationToken::new(), Findings::default());
    let lanes = [REDIS_LANES, POSTGRES_LANES].concat();
    let faults = async {
        for (server, proxy) in &proxies {
            for weather in Weather::ALL {
                weather.begin(proxy)?;
                tokio::time::sleep(scale.time(15, 6)).await;
                proxy.heal()?;
                let recovered = stage.caught_up(&lanes, PER_SECOND).await?;
                let what = format!("{server} {}: recovered after, s", weather.name());
                findings.tell(what, format!("{:.1}", recovered.as_secs_f64()));
            }
        }
        stop.cancel();
        anyhow::Ok(())
    };
    tokio::try_join!(fleet.send_until(&stop, PER_SECOND), faults)?;
    fleet.confirmed().await?;
    stage.drained().await?;
    Balance::of(&stage, &fleet).await?.judge(&mut findings);
    findings.tell("redelivered", stage.all_progress().await?.redelivered);
    let reconnects = "wegweiser_broker_reconnects_total";
    stage.told(&mut findings, reconnects, "pull request went silent").await?;
    for stream in ["METRICS", "RESPONSES"] {
        let figure = format!(r#"wegweiser_sink_retries_total{{stream="{stream}"}}"#);
        stage.told(&mut findings, &figure, "is unavailable").await?;
    }
    Ok(findings)
}
