//! Commands to a fleet while everything between operator and device is killed again and again.
//!
//! What a device executed is read from the fleet's own log of executions, not from ours.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use devstack::DatabaseAddress;
use futures::TryStreamExt as _;
use identity::CommandSigner;
use protocol::command::NoArguments;
use protocol::{CommandId, Order};
use rand::RngExt as _;
use secrecy::SecretString;
use serde_json::Value;
use storage::{CommandTarget, ProgramRole, Records, TargetFilter, WantedOrder};
use tokio::time::Instant;
use uuid::Uuid;

use crate::findings::Findings;
use crate::settings::Scale;
use crate::stage::{POSTGRES_LANES, Stage};
use crate::world::{Process, World, eventually_within, sql_client};

const DEVICES: u64 = 1_000;
const COMMANDS: u64 = 10_000;
const KILLS: u64 = 24;
/// Processes that devices are in; each is killed by itself.
const FLEETS: u64 = 4;
const RECEIVERS: usize = 2;
const WEB_SERVICES: usize = 2;
/// Longest that a simulated execution takes, so that kills meet some in the middle.
const EXECUTION_LASTS: &str = "2s";
/// One command in so many may only be taken for a short time.
const SHORT_LIVED_EVERY: usize = 20;
const SHORT_LIFE: Duration = Duration::from_secs(2);
const LONG_LIFE: Duration = Duration::from_secs(3_600);
/// Longest wait for the fleet to be there, and for every command to have ended.
const PATIENCE: Duration = Duration::from_secs(300);
const BETWEEN_KILLS: std::ops::Range<u64> = 500..2_500;
const OPEN: &str = "select count(*) from commands where wegweiser_command_rank(state) < 3";

pub(crate) async fn run(scale: Scale) -> Result<Findings> {
    let devices = scale.count(DEVICES, 24).next_multiple_of(FLEETS);
    let (commands, kills) = (scale.count(COMMANDS, 240), scale.count(KILLS, 6));
    let mut scene = Scene::set(scale, devices).await?;
    let targets = scene.targets(devices).await?;
    let records = scene.stage.world.records()?;
    let signer = CommandSigner::with_keys(scene.stage.world.command_secrets()?)?;
    let rounds = usize::try_from(commands.div_ceil(devices))?;
    let began = Instant::now();
    let ordering = order(&records, &signer, &targets, rounds);
    let (ordered, ()) = tokio::try_join!(ordering, scene.kill_again_and_again(kills))?;
    let ended = eventually_within(PATIENCE, "every command has ended", async || {
        Ok((scene.stage.world.count(OPEN).await? == 0).then_some(()))
    });
    let still_open = match ended.await {
        Ok(()) => 0,
        Err(_) => scene.stage.world.count(OPEN).await?,
    };
    let took = began.elapsed();
    scene.stage.drained().await?;
    let mut findings = Findings::default();
    findings.tell("devices", devices);
    findings.tell("kills", kills);
    findings.tell("seconds from the first order to the last end", took.as_secs());
    findings.must_be("not ended", u64::try_from(still_open)?, 0);
    scene.judge(&mut findings, &ordered).await?;
    let redelivered = "wegweiser_messages_total";
    scene.stage.told(&mut findings, redelivered, "connected to the broker").await?;
    Ok(findings)
}

/// A command to each device, round after round, as fast as the kills allow it to be seen.
async fn order(
    records: &Records,
    signer: &CommandSigner,
    targets: &[CommandTarget],
    rounds: usize,
) -> Result<Vec<CommandId>> {
    let mut ordered = Vec::new();
    for _ in 0..rounds {
        let mut commands = Vec::with_capacity(targets.len());
        for target in targets {
            let number = ordered.len() + commands.len();
            let life = if number % SHORT_LIVED_EVERY == 0 { SHORT_LIFE } else { LONG_LIFE };
            let wanted = WantedOrder {
                order: Order::Ping(NoArguments {}),
                timeout: None,
                life,
                requester: "chaos".to_owned(),
            };
            commands.push(wanted.prepare(target, signer)?);
        }
        records.order_commands(Uuid::now_v7(), "chaos", &commands).await?;
        ordered.extend(commands.iter().map(|one| one.command));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(ordered)
}

/// The stage, what publishes commands, and what executes them.
struct Scene {
    stage: Stage,
    web: Vec<Process>,
    web_database: DatabaseAddress,
    fleets: Vec<Process>,
    devices_each: u64,
}

impl Scene {
    async fn set(scale: Scale, devices: u64) -> Result<Self> {
        let mut stage = Stage::start(scale.ack_wait()).await?;
        stage.add_replicas(RECEIVERS).await?;
        let web_database = web_database(&stage.world).await?;
        let devices_each = devices / FLEETS;
        let (web, fleets) = (Vec::new(), Vec::new());
        let mut scene = Self { stage, web, web_database, fleets, devices_each };
        for _ in 0..WEB_SERVICES {
            scene.web.push(scene.web_service()?);
        }
        for number in 0..FLEETS {
            scene.fleets.push(scene.fleet(number)?);
        }
        Ok(scene)
    }

    fn web_service(&self) -> Result<Process> {
        self.stage.world.web(self.web_database.clone())
    }

    fn fleet(&self, number: u64) -> Result<Process> {
        let world = &self.stage.world;
        let (devices, seed) = (self.devices_each.to_string(), (number + 1).to_string());
        let folder = self.folder(number).display().to_string();
        let arguments = [
            "fleet",
            "--devices",
            &devices,
            "--seed",
            &seed,
            "--commands",
            &folder,
            "--commands-last",
            EXECUTION_LASTS,
            "--metrics-interval",
            "30s",
            "--heartbeat-interval",
            "20s",
            "--reconnect-spread",
            "2s",
        ];
        Process::start_with("wegweiser", &arguments, &world.environment(), &world.path(""))
    }

    fn folder(&self, number: u64) -> std::path::PathBuf {
        self.stage.world.path(&format!("fleet-{number}"))
    }

    /// Every device of the fleet, once each has sent a heartbeat.
    async fn targets(&self, devices: u64) -> Result<Vec<CommandTarget>> {
        let known = "select count(*) from device_connectivity";
        eventually_within(PATIENCE, "every device is there", async || {
            let known = self.stage.world.count(known).await?;
            Ok((u64::try_from(known)? == devices).then_some(()))
        })
        .await?;
        let records = self.stage.world.records()?;
        Ok(records.command_targets(&TargetFilter::default(), u32::MAX).await?)
    }

    /// One after the other at random: a receiver, a fleet, a web service, the broker.
    async fn kill_again_and_again(&mut self, kills: u64) -> Result<()> {
        for kill in 0..kills {
            let pause = rand::rng().random_range(BETWEEN_KILLS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match kill % 4 {
                0 => self.stage.kill_and_replace(rand::rng().random_range(0..RECEIVERS))?,
                1 => {
                    let number = rand::rng().random_range(0..FLEETS);
                    let index = usize::try_from(number)?;
                    self.fleets[index].kill()?;
                    self.fleets[index] = self.fleet(number)?;
                }
                2 => {
                    let index = rand::rng().random_range(0..WEB_SERVICES);
                    self.web[index].kill()?;
                    self.web[index] = self.web_service()?;
                }
                _ => {
                    self.stage.world.nats.kill()?;
                    self.stage.world.nats.restart()?;
                }
            }
        }
        Ok(())
    }

    async fn judge(&self, findings: &mut Findings, ordered: &[CommandId]) -> Result<()> {
        let executed = self.executed()?;
        let states = self.states().await?;
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (state, _) in states.values() {
            *counts.entry(state).or_default() += 1;
        }
        findings.must_be("ordered", ordered.len() as u64, counts.values().sum());
        for (state, count) in &counts {
            findings.tell(*state, count);
        }
        let interrupted = states.values().filter(|(_, interrupted)| *interrupted).count();
        findings.tell("of them interrupted", interrupted);
        self.tell_repetitions(findings).await?;
        let twice = executed.values().filter(|times| **times > 1).count();
        findings.tell("executions", executed.values().sum::<u64>());
        findings.must_be("executed more than once", twice as u64, 0);
        let ordered: HashSet<CommandId> = ordered.iter().copied().collect();
        let unordered = executed.keys().filter(|id| !ordered.contains(id)).count();
        findings.must_be("executed and never ordered", unordered as u64, 0);
        let silent = states.iter().filter(|(id, (state, interrupted))| {
            executed.contains_key(id) && state != "succeeded" && !interrupted
        });
        findings.must_be("executed, and the records say otherwise", silent.count() as u64, 0);
        let claimed = states
            .iter()
            .filter(|(id, (state, _))| state == "succeeded" && !executed.contains_key(id));
        findings.must_be("succeeded without execution", claimed.count() as u64, 0);
        let long = "select count(*) from commands
                    where state = 'expired' and expires_at - created_at > interval '1 minute'";
        findings.must_be("expired before their time", self.number(long).await?, 0);
        Ok(())
    }

    /// What came more than once on its way, there and back, and had its effect once.
    async fn tell_repetitions(&self, findings: &mut Findings) -> Result<()> {
        let stream = self.stage.jetstream().get_stream("COMMANDS").await?;
        let published = stream.cached_info().state.last_sequence;
        let mut given = 0;
        let mut devices = stream.consumers();
        while let Some(device) = devices.try_next().await? {
            given += device.delivered.consumer_sequence;
        }
        findings.tell("commands that the stream took", published);
        findings.tell("deliveries to devices", given);
        let answered = "select count(*) from command_transitions where state = 'delivered'";
        findings.tell("commands that a device answered", self.number(answered).await?);
        let again = self.stage.progress(POSTGRES_LANES).await?.redelivered;
        findings.tell("redeliveries to receivers", again);
        Ok(())
    }

    /// How often each command was begun, by the devices' own log.
    fn executed(&self) -> Result<HashMap<CommandId, u64>> {
        let mut executed = HashMap::new();
        for number in 0..FLEETS {
            let path = self.folder(number).join("executions.log");
            let text = std::fs::read_to_string(&path);
            for line in text.with_context(|| path.display().to_string())?.lines() {
                let line: Value = serde_json::from_str(line)?;
                let id = line["command_id"].as_str().context("an id")?.parse()?;
                *executed.entry(id).or_default() += 1;
            }
        }
        Ok(executed)
    }

    /// The state of each command, and whether its device was interrupted in it.
    async fn states(&self) -> Result<HashMap<CommandId, (String, bool)>> {
        let client = sql_client(&self.stage.world.database).await?;
        let sql = "select command_uuid, state, coalesce(reason_code = 'interrupted', false)
                   from commands";
        let rows = client.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| (CommandId::new(row.get(0)), (row.get(1), row.get(2)))).collect())
    }

    async fn number(&self, sql: &str) -> Result<u64> {
        Ok(u64::try_from(self.stage.world.count(sql).await?)?)
    }
}

/// A sign-in of the web service's role.
async fn web_database(world: &World) -> Result<DatabaseAddress> {
    let name = format!("web_{}", Uuid::now_v7().simple());
    let password = SecretString::from("chaos");
    world.records()?.set_sign_in(&name, ProgramRole::Web, &password).await?;
    Ok(DatabaseAddress { user: name, password, ..world.database.clone() })
}
