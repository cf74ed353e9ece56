//! Leg (d), a floor: the same points into Redis, with nothing around.
//!
//! The best pipeline that was found: the protocol's bytes written by hand from points in memory, a
//! batch as large as the receiver's and coalesced as it is, the next one on its way while the last
//! is answered. A list is given its life when it is new, and is cut when it has grown as long as the
//! receiver lets it grow; how long it is, is known here without asking.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::Semaphore;

use crate::measure::{Leg, Sample, Watch};
use crate::workload::{Fleet, Point};
use crate::world::World;

/// The receiver's default.
const BATCH_POINTS: usize = 1_000;
/// Batches written and not yet answered.
const BATCHES_UNDER_WAY: usize = 2;
/// Points that the receiver's defaults keep in a list, and from how many on they cut it.
const KEPT_POINTS: usize = 375;
const CUT_ABOVE_POINTS: usize = 412;
const READ_BYTES: usize = 64 * 1024;
const PREFIX: &str = "floor";

pub(crate) async fn measure(
    world: &World,
    fleet: &Fleet,
    points: &[Point],
    run: usize,
) -> Result<Sample> {
    let connection = TcpStream::connect((world.redis().host(), world.redis().port())).await?;
    connection.set_nodelay(true)?;
    let (answers, mut commands) = connection.into_split();
    let under_way = Arc::new(Semaphore::new(BATCHES_UNDER_WAY));
    let (announce, announced) = tokio::sync::mpsc::channel(BATCHES_UNDER_WAY);
    let reading = tokio::spawn(read_answers(answers, announced, under_way.clone()));
    let watch = Watch::start(&world.meter)?;
    let mut bytes = String::new();
    let mut lengths = HashMap::new();
    for batch in points.chunks(BATCH_POINTS) {
        bytes.clear();
        let commands_written = encode(fleet, batch, &mut lengths, &mut bytes)?;
        under_way.acquire().await?.forget();
        announce.send(commands_written).await?;
        commands.write_all(bytes.as_bytes()).await?;
    }
    drop(announce);
    reading.await??;
    watch.stop(Leg::RingsFloor, run, points.len())
}

/// Writes one batch's commands; returns how many. `lengths`: of each ring's list.
fn encode(
    fleet: &Fleet,
    batch: &[Point],
    lengths: &mut HashMap<usize, usize>,
    bytes: &mut String,
) -> Result<usize> {
    let mut rings: HashMap<usize, Vec<&Point>> = HashMap::with_capacity(batch.len());
    for point in batch {
        rings.entry(fleet.ring_number(point)).or_default().push(point);
    }
    let mut element = String::new();
    let mut commands = 0;
    for (ring, points) in &rings {
        let Some(first) = points.first() else { continue };
        let key = format!("{PREFIX}:{}", fleet.ring(first));
        let key_bytes = key.len();
        write!(bytes, "*{}\r\n$5\r\nLPUSH\r\n${key_bytes}\r\n{key}\r\n", points.len() + 2)?;
        for Point { at, value, .. } in points {
            element.clear();
            write!(element, r#"{{"timestamp":{},"value":{value}}}"#, at.get())?;
            write!(bytes, "${}\r\n{element}\r\n", element.len())?;
        }
        commands += 1;
        let length = lengths.entry(*ring).or_default();
        if *length == 0 {
            write!(bytes, "*3\r\n$6\r\nEXPIRE\r\n${key_bytes}\r\n{key}\r\n$3\r\n990\r\n")?;
            commands += 1;
        }
        *length += points.len();
        if *length > CUT_ABOVE_POINTS {
            let last = KEPT_POINTS - 1;
            write!(
                bytes,
                "*4\r\n$5\r\nLTRIM\r\n${key_bytes}\r\n{key}\r\n$1\r\n0\r\n$3\r\n{last}\r\n"
            )?;
            *length = KEPT_POINTS;
            commands += 1;
        }
    }
    Ok(commands)
}

/// Each answer here is one line; one that begins with a minus is an error.
async fn read_answers(
    mut answers: OwnedReadHalf,
    mut announced: tokio::sync::mpsc::Receiver<usize>,
    under_way: Arc<Semaphore>,
) -> Result<()> {
    let mut bytes = vec![0; READ_BYTES];
    let mut surplus = 0;
    while let Some(expected) = announced.recv().await {
        let mut lines = surplus;
        while lines < expected {
            let read = answers.read(&mut bytes).await?;
            let some = bytes.get(..read).context("reading from redis")?;
            ensure!(!some.is_empty(), "redis closed the connection");
            ensure!(!some.contains(&b'-'), "redis: {}", String::from_utf8_lossy(some));
            lines += some.iter().filter(|byte| **byte == b'\n').count();
        }
        surplus = lines - expected;
        under_way.add_permits(1);
    }
    Ok(())
}

/// Removes every ring.
pub(crate) async fn empty(world: &World) -> Result<()> {
    ask(world, "FLUSHALL").await.map(drop)
}

/// Makes sure that so many rings are there.
pub(crate) async fn check(world: &World, rings: usize) -> Result<()> {
    let keyspace = ask(world, "INFO keyspace").await?;
    let keys = keyspace.lines().find_map(|line| line.split_once("keys=")?.1.split(',').next());
    // Beside the rings a receiver notes there which numbers it has stored.
    let noted = ask(world, "SELECT 3\r\nEXISTS wegweiser:metrics:ledger").await?;
    let notes = usize::from(noted.lines().any(|line| line == ":1"));
    let found = keys.unwrap_or("0").parse::<usize>()? - notes;
    ensure!(found == rings, "{rings} rings should have been written, {found} are there");
    Ok(())
}

async fn ask(world: &World, command: &str) -> Result<String> {
    let mut connection = TcpStream::connect((world.redis().host(), world.redis().port())).await?;
    connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    ensure!(!answer.starts_with('-'), "redis: {answer}");
    Ok(answer)
}
