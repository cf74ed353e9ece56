//! `wegweiser command ping`: how long an answer of a device takes, through everything.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use protocol::command::NoArguments;
use protocol::{DeviceId, Order};
use serde_json::json;
use storage::{CommandState, CommandTarget, TargetFilter, WantedOrder};
use tokio::time::Instant;
use uuid::Uuid;

use super::EXIT_SOME_FAILED;
use super::desk::Desk;
use super::tell::word;
use crate::output::{self, TableFormat};
use crate::span::span;

const COUNT: u32 = 5;
const COUNT_MAX: i64 = 100_000;

#[derive(Debug, Args)]
pub(super) struct Ping {
    /// The device (UUID).
    device: DeviceId,
    /// How often, one after the other.
    #[arg(long, default_value_t = COUNT, value_parser = clap::value_parser!(u32).range(1..=COUNT_MAX))]
    count: u32,
    /// Longest wait for one answer, such as 30s.
    #[arg(long, value_name = "SPAN", value_parser = span, default_value = "10s")]
    timeout: Duration,
    /// A line each and the figures for people, or the figures as JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

pub(super) async fn run(command: &Ping) -> anyhow::Result<ExitCode> {
    let mut desk = Desk::open().await?;
    let devices = Some(vec![command.device]);
    let filter = TargetFilter { devices, ..TargetFilter::default() };
    let found = desk.records.command_targets(&filter, 1).await;
    let target = found.context("looking for the device")?.pop();
    let target = target.with_context(|| {
        format!("device {} is unknown: it is not registered and sent no heartbeat", command.device)
    })?;
    desk.listen().await?;
    let batch = Uuid::now_v7();
    let mut took = Vec::new();
    for number in 1..=command.count {
        let (state, elapsed) = ask(&mut desk, command, batch, &target).await?;
        if state == CommandState::Succeeded {
            took.push(elapsed);
        }
        if command.output == TableFormat::Table {
            let milliseconds = milliseconds(elapsed);
            output::text(&format!("{number}  {}  {milliseconds:.1} ms", word(state)))?;
        }
    }
    took.sort_unstable();
    tell(command, &took)?;
    let all = took.len() == usize::try_from(command.count)?;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(EXIT_SOME_FAILED) })
}

/// From the order to its end in the records, as whoever waits sees it.
async fn ask(
    desk: &mut Desk,
    command: &Ping,
    batch: Uuid,
    target: &CommandTarget,
) -> anyhow::Result<(CommandState, Duration)> {
    let wanted = WantedOrder {
        order: Order::Ping(NoArguments {}),
        timeout: Some(command.timeout),
        life: command.timeout,
        requester: desk.who.clone(),
    };
    let started = Instant::now();
    let ordered = desk.order(batch, &wanted, std::slice::from_ref(target)).await?;
    let open: Vec<_> = ordered.iter().map(|one| one.command).collect();
    loop {
        if let Some(ended) = desk.ended(&open).await?.first() {
            return Ok((ended.state, started.elapsed()));
        }
    }
}

fn tell(command: &Ping, took: &[Duration]) -> anyhow::Result<()> {
    let at = |percent: usize| {
        let index = (took.len() * percent).div_ceil(100).saturating_sub(1);
        took.get(index).map(|elapsed| milliseconds(*elapsed))
    };
    let (sent, answered) = (command.count, took.len());
    let [p50, p99, longest] = [50, 99, 100].map(at);
    if command.output == TableFormat::Json {
        return output::json(&json!({
            "device": command.device, "sent": sent, "answered": answered,
            "p50_ms": p50, "p99_ms": p99, "longest_ms": longest,
        }));
    }
    let shown = |figure: Option<f64>| figure.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
    let (p50, p99, longest) = (shown(p50), shown(p99), shown(longest));
    output::text(&format!(
        "{sent} sent, {answered} answered; p50 {p50}, p99 {p99}, longest {longest}"
    ))?;
    Ok(())
}

fn milliseconds(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1_000.0
}
