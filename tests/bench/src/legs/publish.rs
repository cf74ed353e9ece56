//! Leg (a): publishing as agents do, through their outboxes, until the stream has confirmed all.

use std::time::Duration;

use anyhow::{Result, ensure};
use broker::{Bounds, Broker, Outbox, Sender};
use bytes::Bytes;
use protocol::UnixMillis;
use protocol::{AGENT_METRICS, DeviceId, Kind, MetricBody, MetricType, SessionId, TenantId};
use runtime::shutdown::CancellationToken;
use tokio::task::JoinSet;

use crate::measure::{Leg, Sample, Watch};
use crate::world::World;

/// Agents at one time; with each one's own bound, about 1,000 messages are under way.
const AGENTS: usize = 8;
/// How many an agent may have waiting before it holds back; half of what its outbox keeps.
const WAITING_MAX: u64 = 2_048;
/// Points handed over between two looks at what is waiting.
const HANDED_AT_ONCE: usize = 256;
/// How long the last confirmations may take.
const FLUSH_WITHIN: Duration = Duration::from_secs(30);
/// How often to look while the outbox is full.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

struct Agent {
    tenant: TenantId,
    device: DeviceId,
    broker: Broker,
}

pub(crate) async fn measure(world: &World, run: usize, messages: usize) -> Result<Sample> {
    let mut agents = Vec::new();
    for tenant in world.tenants.iter().cycle().take(AGENTS) {
        let (device, broker) = world.device(*tenant).await?;
        agents.push(Agent { tenant: *tenant, device, broker });
    }
    world.purge("METRICS").await?;
    let watch = Watch::start(&world.meter)?;
    let mut running = JoinSet::new();
    for agent in agents {
        running.spawn(agent.report(messages / AGENTS));
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    let published = messages / AGENTS * AGENTS;
    let sample = watch.stop(Leg::Publish, run, published)?;
    let stored = world.operator.stream_state("METRICS").await?.messages;
    ensure!(stored == published as u64, "{published} points were confirmed, {stored} are stored");
    Ok(sample)
}

impl Agent {
    async fn report(self, points: usize) -> Result<()> {
        let Self { tenant, device, broker } = self;
        let sender = Sender { tenant, device, session: SessionId::start() };
        let outbox = Outbox::new(sender, Bounds::AGENT);
        let stop = CancellationToken::new();
        let producer = produce(&outbox, sender, points, &stop);
        let (left, produced) = tokio::join!(outbox.deliver(&broker, &stop, FLUSH_WITHIN), producer);
        produced?;
        let metric = outbox.figures().metric;
        let left = left?;
        ensure!(
            left == 0 && metric.confirmed == points as u64,
            "an agent has {left} points left; its outbox says {metric:?}"
        );
        Ok(())
    }
}

/// Hands points over as fast as the outbox empties.
async fn produce(
    outbox: &Outbox,
    sender: Sender,
    points: usize,
    stop: &CancellationToken,
) -> Result<()> {
    let metrics: Result<Vec<MetricType>, _> = AGENT_METRICS.iter().map(|m| m.parse()).collect();
    let metrics = metrics?;
    let mut handed = 0;
    while handed < points {
        if outbox.figures().metric.waiting > WAITING_MAX {
            tokio::time::sleep(LOOK_AGAIN).await;
            continue;
        }
        for metric in metrics.iter().cycle().take(HANDED_AT_ONCE.min(points - handed)) {
            let at = UnixMillis::now();
            let body = MetricBody {
                device_uuid: sender.device,
                tenant_uuid: sender.tenant,
                metric_type: metric,
                value: 12.5,
                timestamp_ms: at,
            };
            let payload = Bytes::from(serde_json::to_vec(&body)?);
            outbox.hand_over(Kind::Metric(metric.clone()), at, payload)?;
            handed += 1;
        }
        tokio::task::yield_now().await;
    }
    stop.cancel();
    Ok(())
}
