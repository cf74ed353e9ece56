//! `wegweiser status`: the whole pipeline in one line, once or as it goes.
//!
//! Promises: a server that does not answer is named in its place in the line, and the rest is told.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use broker::{Broker, BrokerGone};
use storage::Records;
use tokio::time::Instant;

use crate::environment::{INBOUND, PUT_OFF};
use crate::{environment, output};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Messages that are younger are under way rather than behind.
const BEHIND_FROM_MS: i64 = 5_000;

/// Show messages in, lag, dead letters and devices online
#[derive(clap::Args, Debug)]
pub(crate) struct StatusCommand {
    /// Go on, a line a second
    #[arg(long)]
    watch: bool,
}

/// What the broker tells at one time.
struct Flow {
    taken: u64,
    lag: u64,
    /// Parcels of metric points beyond their tenants' shares.
    put_off: u64,
    /// Age of the oldest message that is not settled, in milliseconds.
    behind_ms: i64,
    dead_letters: u64,
    at: Instant,
}

pub(crate) async fn run(command: &StatusCommand) -> anyhow::Result<ExitCode> {
    let broker = environment::broker().await?;
    let records = environment::records()?;
    let mut before: Option<Flow> = None;
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let flow = flow(&broker).await;
        let pipeline = match &flow {
            Ok(flow) => describe(flow, before.as_ref()),
            Err(error) => error.to_string(),
        };
        let line = format!("{pipeline}  {}", presence(&records).await);
        if !command.watch {
            output::text(&line)?;
            return Ok(if flow.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        // On a terminal the line is written over; a log gets one line after the other.
        if std::io::stdout().is_terminal() {
            output::over(&line)?;
        } else {
            output::text(&line)?;
        }
        before = flow.ok();
    }
}

async fn flow(broker: &Broker) -> Result<Flow, BrokerGone> {
    let at = Instant::now();
    let mut flow = Flow { taken: 0, lag: 0, put_off: 0, behind_ms: 0, dead_letters: 0, at };
    for (stream, consumer, _) in INBOUND {
        flow.taken += broker.stream_state(stream).await?.last_sequence;
        let state = broker.consumer_state(stream, consumer).await?;
        flow.lag += state.num_pending + state.num_ack_pending;
        flow.behind_ms = flow.behind_ms.max(broker.behind_ms(stream, consumer).await?);
    }
    let (stream, consumer) = PUT_OFF;
    let put_off = broker.consumer_state(stream, consumer).await?;
    flow.put_off = put_off.num_pending + put_off.num_ack_pending;
    flow.behind_ms = flow.behind_ms.max(broker.behind_ms(stream, consumer).await?);
    flow.dead_letters = broker.stream_state("DEAD_LETTERS").await?.messages;
    Ok(flow)
}

fn describe(flow: &Flow, before: Option<&Flow>) -> String {
    let Flow { taken, lag, put_off, behind_ms, dead_letters, at } = flow;
    let rate = before.map(|before| {
        let milliseconds = u64::try_from((*at - before.at).as_millis()).unwrap_or(u64::MAX).max(1);
        format!(" ({}/s)", taken.saturating_sub(before.taken).saturating_mul(1000) / milliseconds)
    });
    let rate = rate.unwrap_or_default();
    let behind = if *behind_ms < BEHIND_FROM_MS {
        String::new()
    } else {
        format!(" (pipeline behind by {} s)", behind_ms / 1_000)
    };
    let put_off =
        if *put_off == 0 { String::new() } else { format!("  parcels put off {put_off}") };
    format!("messages in {taken}{rate}  lag {lag}{put_off}{behind}  dead letters {dead_letters}")
}

async fn presence(records: &Records) -> String {
    match records.presence_counts().await {
        Ok(counts) => format!("devices online {} of {}", counts.online, counts.devices),
        Err(error) => error.to_string(),
    }
}
