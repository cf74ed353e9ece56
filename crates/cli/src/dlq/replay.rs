//! `wegweiser dlq replay`: originals are sent again, and their letters go.
//!
//! Promises, for each letter in this order: the intention is in the audit log; the original is in
//! its stream, under the same id each time; the result is in the log; the letter is removed. A
//! kill between any two leaves the letter, and running again does the rest without a second
//! effect. Refuses: to send a tombstone, and to remove a letter that its stream did not take.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use broker::Broker;
use broker::dead_letters::{Letter, Sent};
use clap::Args;
use futures::future::join_all;
use protocol::DeviceSubject;
use serde_json::{Value, json};
use storage::Records;
use tokio::time::{Interval, MissedTickBehavior};

use super::progress::Progress;
use super::selection::Selection;
use super::tally::Tally;
use super::trail::{Trail, described};
use super::{foresight, removal};
use crate::environment;
use crate::output::{self, TableFormat};

const RATE_A_SECOND: u32 = 100;
/// Timers are no finer than a millisecond.
const RATE_A_SECOND_MAX: i64 = 1_000;
/// Letters between two notes in the audit log; a kill sends at most so many again.
const CHUNK_LETTERS_MAX: usize = 64;

const TOMBSTONE: &str = "kept: cannot be sent, a tombstone has no payload";
const NO_ORIGIN: &str = "kept: cannot be sent, it does not say where it came from";
const DUPLICATE: &str =
    "kept: not taken, its id is still within the stream's duplicate window; try later";
const FAILED: &str = "kept: not confirmed; run again";
const SENT: &str = "sent again, removed";
const THERE: &str = "was sent before and is there, removed";
const APPLIED: &str = "had its effect before it was parked, removed";

/// Sends originals again.
#[derive(Args, Debug)]
pub(crate) struct ReplayCommand {
    #[command(flatten)]
    selection: Selection,
    /// Most messages a second.
    #[arg(long, default_value_t = RATE_A_SECOND, value_parser = clap::value_parser!(u32).range(1..=RATE_A_SECOND_MAX))]
    rate: u32,
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
    /// A table for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    output: TableFormat,
}

/// What is to be done with one letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Send its original.
    Send,
    /// Its original has had its effect: sending it under another id would be a second one.
    Applied,
    /// Nothing can be sent.
    Keep(&'static str),
}

pub(crate) async fn run(command: &ReplayCommand, broker: &Broker) -> anyhow::Result<ExitCode> {
    let records = environment::records()?;
    let mut walk = command.selection.walk(broker).await?;
    if command.dry_run {
        foresight::foresee(&mut walk, broker, &records).await?.print(command.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let trail = Trail::begin(&records, "dlq replay")?;
    let mut pace = tokio::time::interval(Duration::from_secs(1) / command.rate);
    // After a pause it goes on at the same rate.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut replay = Replay { broker, records, trail, pace, tally: Tally::default(), kept: 0 };
    let chunk = CHUNK_LETTERS_MAX.min(usize::try_from(command.rate)?);
    let progress = Progress::start("replay", walk.total().await?);
    let mut done = Ok(());
    'pages: while let Some(letters) = walk.page().await? {
        for letters in letters.chunks(chunk) {
            done = replay.chunk(letters).await;
            if done.is_err() {
                break 'pages;
            }
            progress.add(letters.len());
        }
    }
    progress.end();
    replay.tally.print(command.output)?;
    done?;
    if replay.kept > 0 {
        output::note(&format!("{} letters are kept", replay.kept));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

struct Replay<'a> {
    broker: &'a Broker,
    records: Records,
    trail: Trail,
    pace: Interval,
    tally: Tally,
    kept: u64,
}

/// One letter after its stream has answered.
struct Answered<'a> {
    letter: &'a Letter,
    outcome: &'static str,
    detail: Value,
    may_go: bool,
}

impl Replay<'_> {
    async fn chunk(&mut self, letters: &[Letter]) -> anyhow::Result<()> {
        let mut planned: Vec<(&Letter, Plan)> = Vec::new();
        for letter in letters {
            match plan(&self.records, letter).await? {
                Plan::Keep(why) => {
                    self.tally.add(why, letter.stream());
                    self.kept += 1;
                }
                plan => planned.push((letter, plan)),
            }
        }
        let mut intentions = Vec::with_capacity(planned.len());
        for (letter, plan) in &planned {
            let detail = match plan {
                Plan::Send => intention(letter),
                _ => described(letter, "removing, its effect is there"),
            };
            intentions.push((*letter, detail));
        }
        self.trail.note(intentions).await?;
        let (answered, failure) = self.send(planned).await;
        let facts = answered.iter().map(|done| (done.letter, done.detail.clone())).collect();
        self.trail.note(facts).await?;
        let gone: Vec<u64> =
            answered.iter().filter(|done| done.may_go).map(|done| done.letter.sequence).collect();
        removal::remove(self.broker, &gone).await?;
        for done in &answered {
            self.tally.add(done.outcome, done.letter.stream());
            self.kept += u64::from(!done.may_go);
        }
        match failure {
            Some(error) => {
                Err(error).context("sending again; what is left is kept, so run it again")
            }
            None => Ok(()),
        }
    }

    /// Sends at the rate, then waits for every answer.
    async fn send<'l>(
        &mut self,
        planned: Vec<(&'l Letter, Plan)>,
    ) -> (Vec<Answered<'l>>, Option<anyhow::Error>) {
        let broker = self.broker;
        let mut under_way = Vec::new();
        for (letter, plan) in planned {
            if plan == Plan::Send {
                self.pace.tick().await;
                let sent = broker.send_again(letter).await;
                under_way.push((letter, Some(sent)));
            } else {
                under_way.push((letter, None));
            }
        }
        let answers = under_way.into_iter().map(async |(letter, sent)| match sent {
            None => (answered(letter, APPLIED, json!({ "outcome": APPLIED }), true), None),
            Some(Err(error)) => failed(letter, error.into()),
            Some(Ok(sent)) => match sent.outcome().await {
                Ok(sent) => (taken(letter, sent), None),
                Err(error) => failed(letter, error.into()),
            },
        });
        let mut all = Vec::new();
        let mut failure = None;
        for (done, error) in join_all(answers).await {
            all.push(done);
            failure = failure.or(error);
        }
        (all, failure)
    }
}

/// Looks for what speaks against sending.
pub(super) async fn plan(records: &Records, letter: &Letter) -> anyhow::Result<Plan> {
    let subject = match letter.origin_subject() {
        Ok(subject) => subject,
        Err(_) if letter.is_tombstone() => return Ok(Plan::Keep(TOMBSTONE)),
        Err(_) => return Ok(Plan::Keep(NO_ORIGIN)),
    };
    // With an id of its sender, the effect is found by that id.
    let (Some(key), Some(first_seen)) = (letter.place_key(), letter.first_seen()) else {
        return Ok(Plan::Send);
    };
    let Ok(subject) = subject.parse::<DeviceSubject>() else {
        return Ok(Plan::Send);
    };
    let recorded = records.is_recorded(subject.tenant(), subject.device(), &key, first_seen).await;
    let recorded = recorded.context("looking for the effect of a message")?;
    Ok(if recorded { Plan::Applied } else { Plan::Send })
}

fn intention(letter: &Letter) -> Value {
    let mut detail = described(letter, "sending");
    detail["sent_as"] = Value::from(letter.replay_id());
    detail
}

fn taken(letter: &Letter, sent: Sent) -> Answered<'_> {
    match sent {
        Sent::Taken { stream, sequence } => {
            let detail = json!({ "outcome": SENT, "stream": stream, "sequence": sequence });
            answered(letter, SENT, detail, true)
        }
        Sent::There { stream, sequence } => {
            let detail = json!({ "outcome": THERE, "stream": stream, "sequence": sequence });
            answered(letter, THERE, detail, true)
        }
        Sent::Duplicate => answered(letter, DUPLICATE, json!({ "outcome": DUPLICATE }), false),
    }
}

fn failed(letter: &Letter, error: anyhow::Error) -> (Answered<'_>, Option<anyhow::Error>) {
    let detail = json!({ "outcome": FAILED, "error": format!("{error:#}") });
    (answered(letter, FAILED, detail, false), Some(error))
}

const fn answered<'l>(
    letter: &'l Letter,
    outcome: &'static str,
    detail: Value,
    may_go: bool,
) -> Answered<'l> {
    Answered { letter, outcome, detail, may_go }
}
