//! Ten bad minutes: the broker is away, the agent is killed twice meanwhile, and in the end every
//! heartbeat, report and response of all three runs is in the records, each once.
//!
//! The ten minutes are compressed: the broker is away until each of the three runs has handed over
//! three heartbeats, which come every second instead of every 15, as reports do instead of every
//! five minutes; a reconnection is spread over a quarter of a second instead of 30.
//! `WEGWEISER_STORY_OUTAGE_SECONDS=600` makes it ten minutes at the agent's own intervals.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use protocol::CommandId;
use serde_json::Value;
use tokio::time::Instant;

use super::field::{Field, WITHIN, until_state};
use super::site::program;
use crate::world::{Process, World, eventually_within};

const OUTAGE_VARIABLE: &str = "WEGWEISER_STORY_OUTAGE_SECONDS";
/// Heartbeats that each of the three runs hands over while the broker is away.
const BEATS_A_RUN: u64 = 3;
/// What the agent may start; each program ends when it finds its file.
const ALLOWED: &str = r#"
[commands.run.tell]
program = "{home}/tell"
[commands.run.hang]
program = "{home}/hang"
"#;
const STREAMS: [&str; 3] = ["HEARTBEATS", "MONITORING", "RESPONSES"];

/// How long the broker is away, and how often the agent reports.
struct Pace {
    beats_a_run: u64,
    /// Longest wait for the heartbeats of one run.
    run_within: Duration,
    settings: Vec<(&'static str, &'static str)>,
}

impl Pace {
    fn read() -> Result<Self> {
        const BEAT_SECONDS: u64 = 15;
        let Some(seconds) = std::env::var_os(OUTAGE_VARIABLE) else {
            let settings = vec![
                ("WEGWEISER_HEARTBEAT_INTERVAL_MS", "1000"),
                ("WEGWEISER_MONITORING_INTERVAL_MS", "1000"),
                ("WEGWEISER_RECONNECT_SPREAD_MS", "250"),
            ];
            return Ok(Self { beats_a_run: BEATS_A_RUN, run_within: WITHIN, settings });
        };
        let seconds: u64 = seconds.to_string_lossy().parse().context(OUTAGE_VARIABLE)?;
        let beats_a_run = (seconds / BEAT_SECONDS / 3).max(1);
        let run_within = WITHIN + Duration::from_secs(seconds);
        Ok(Self { beats_a_run, run_within, settings: Vec::new() })
    }
}

fn write_programs(field: &Field) -> Result<()> {
    for (name, end) in [("tell", "echo one; echo two >&2; echo three"), ("hang", "echo never")] {
        let go = field.home.join(format!("go-{name}"));
        // Outside a service manager it outlives a kill of its agent, but not this folder.
        let (home, go) = (field.home.display(), go.display());
        let script = format!("while [ -d {home} ] && [ ! -e {go} ]; do sleep 0.05; done; {end}");
        program(&field.home.join(name), &script)?;
    }
    Ok(())
}

async fn run(world: &World, field: &Field, name: &str) -> Result<CommandId> {
    let program = format!("program={}", field.home.join(name).display());
    field.send(world, &["run", &program, "--timeout", "1h"]).await
}

/// Waits until this run says of itself that so much waits for the broker.
async fn until_spooled(
    (field, agent, pace): (&Field, &Process, &Pace),
    kind: &str,
    least: u64,
) -> Result<()> {
    let what = format!("{least} of {kind} wait; the agent said\n{}", agent.log());
    eventually_within(pace.run_within, &what, async || {
        let said = std::fs::read(field.home.join("status.json")).unwrap_or_default();
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        let waits = said["status"]["spooled"][kind].as_u64().unwrap_or_default();
        let is_this_run = said["pid"].as_u64() == Some(u64::from(agent.id()));
        Ok((is_this_run && waits >= least).then_some(()))
    })
    .await
}

/// What `wegweiser ledger` says of the device, once `holds` of each stream's line.
async fn ledger(world: &World, field: &Field, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let device = field.device.to_string();
    let ask = ["ledger", "--device", &device, "--output", "json"];
    let mut last = String::new();
    let balanced = eventually_within(WITHIN, "books that balance", async || {
        let (_, said) = world.wegweiser(&ask).await?;
        let books: Value = serde_json::from_str(&said)?;
        last = said;
        let lines: Vec<&Value> = lines(&books).collect();
        Ok((lines.len() == STREAMS.len() && lines.into_iter().all(&holds)).then_some(books))
    });
    let balanced = balanced.await;
    balanced.with_context(|| last)
}

/// The lines of streams whose messages all have to be there.
fn lines(books: &Value) -> impl Iterator<Item = &Value> {
    let is_kept = |line: &&Value| line["stream"].as_str().is_some_and(|s| STREAMS.contains(&s));
    books["devices"].as_array().into_iter().flatten().filter(is_kept)
}

#[tokio::test]
async fn ten_bad_minutes_with_two_kills_cost_no_heartbeat_report_or_response() -> Result<()> {
    let pace = Pace::read()?;
    let mut world = World::start().await?;
    let _receivers = [world.receiver(&[])?, world.receiver(&[])?];
    let field = Field::open(&world, ALLOWED, &pace.settings).await?;
    write_programs(&field)?;
    let mut agent = field.start(&world)?;
    let answered = field.send(&world, &["ping"]).await?;
    until_state(&world, answered, "succeeded").await?;
    // Two run at one time; the others are taken, and wait.
    let told = run(&world, &field, "tell").await?;
    let hung = [run(&world, &field, "hang").await?, run(&world, &field, "hang").await?];
    let waited = field.send(&world, &["ping"]).await?;
    until_state(&world, told, "running").await?;
    eventually_within(WITHIN, "all are taken", async || {
        Ok((world.messages_in("COMMANDS").await? == 0).then_some(()))
    })
    .await?;

    let begun = Instant::now();
    world.nats.kill()?;
    std::fs::write(field.home.join("go-tell"), "")?;
    // One end, three lines in two pieces at least, and the start of the next.
    until_spooled((&field, &agent, &pace), "response", 4).await?;
    for _ in 0..2 {
        until_spooled((&field, &agent, &pace), "heartbeat", pace.beats_a_run).await?;
        agent.kill()?;
        agent = field.start(&world)?;
    }
    until_spooled((&field, &agent, &pace), "heartbeat", pace.beats_a_run).await?;
    let away = begun.elapsed();
    world.nats.restart()?;

    until_state(&world, told, "succeeded").await?;
    until_state(&world, waited, "succeeded").await?;
    for command in hung {
        let row = until_state(&world, command, "failed").await?;
        assert_eq!(row.reason_code.as_deref(), Some("interrupted"));
    }
    let idle = |line: &Value| line["spooled"] == 0 && line["missing"] == 0;
    ledger(&world, &field, idle).await?;
    ensure!(agent.stop().await?.success(), "{}", agent.log());
    let whole =
        |line: &Value| idle(line) && line["under_way"] == 0 && line["sent"] == line["stored"];
    let books = ledger(&world, &field, whole).await?;
    assert_each_once(&world, &books).await?;
    for command in [answered, told, hung[0], hung[1], waited] {
        assert_told_once(&world, command).await?;
    }
    let row = world.records()?.command(told).await?.context("the command")?;
    let output = world.records()?.command_output(&row, 0, 10).await?;
    let said = output.iter().map(|piece| piece.chunk.as_str()).collect::<String>();
    assert!(said.contains("one") && said.contains("two") && said.contains("three"), "{said}");
    println!("the broker was away for {} s; {books}", away.as_secs());
    Ok(())
}

/// Three runs, and as many records as the books have.
async fn assert_each_once(world: &World, books: &Value) -> Result<()> {
    let runs = "select count(distinct session_id) from device_ledger where kind = 'heartbeat'";
    assert_eq!(world.count(runs).await?, 3);
    for (stream, kind) in [("MONITORING", "monitoring"), ("RESPONSES", "response")] {
        let line = lines(books).find(|line| line["stream"] == stream);
        let stored = line.and_then(|line| line["stored"].as_i64());
        let rows = format!("select count(*) from device_realtime_data where kind = '{kind}'");
        assert_eq!(Some(world.count(&rows).await?), stored, "{stream}: {books}");
    }
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0);
    Ok(())
}

/// Each event of a command once, and one end.
async fn assert_told_once(world: &World, command: CommandId) -> Result<()> {
    let of = format!("from device_realtime_data where command_id = '{command}'");
    let number = "(payload ->> 'number')::bigint";
    let odd = format!("select count(*) - count(distinct {number}) {of}");
    assert_eq!(world.count(&odd).await?, 0, "{command}");
    let ends = format!("select count(*) {of} and payload ->> 'event' = 'finished'");
    assert_eq!(world.count(&ends).await?, 1, "{command}");
    Ok(())
}
