//! One device with a real agent, and an operator who signs and publishes by hand.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{self, stream::Stream};
use identity::{CommandSigner, DeviceRole, KeyDir};
use protocol::command::{CommandEvent, CommandOutcome, CommandTerms, EventWord};
use protocol::{Command, CommandId, DeviceId, Order, SignedCommand, TenantId, UnixMillis};
use serde_json::{Value, json};

use crate::world::{Process, World, eventually, eventually_within};

/// How long a command of a story is good for.
const LIFE_MS: i64 = 120_000;
/// Bound on an answer, generous since machines are busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

pub(super) struct Site {
    pub(super) world: World,
    pub(super) tenant: TenantId,
    pub(super) device: DeviceId,
    pub(super) signer: CommandSigner,
    pub(super) operator: async_nats::Client,
    pub(super) agent: Process,
    creds: PathBuf,
    home: PathBuf,
    told: Vec<(String, String)>,
}

impl Site {
    /// A device whose agent has this configuration; `{home}` in it is the agent's folder.
    pub(super) async fn open(configuration: &str) -> Result<Self> {
        Self::open_told(configuration, Vec::new()).await
    }

    /// The same with variables of the story's own.
    pub(super) async fn open_told(
        configuration: &str,
        told: Vec<(String, String)>,
    ) -> Result<Self> {
        let world = World::start().await?;
        let keys = KeyDir::open_or_create(&world.path("keys"))?;
        keys.ensure_command_key()?;
        let signer = CommandSigner::open(&keys)?;
        let (device, creds) = world.device_creds(0, DeviceRole::Current)?;
        let home = world.path("home");
        std::fs::create_dir(&home)?;
        let trusted = signer.trust().keys.join("\n");
        std::fs::write(home.join("command-keys"), format!("{trusted}\n"))?;
        let configuration = configuration.replace("{home}", &home.display().to_string());
        std::fs::write(home.join("agent.toml"), configuration)?;
        let operator = world.operator().await?;
        let commands = jetstream::new(operator.clone()).get_stream("COMMANDS").await?;
        let tenant = world.tenants[0];
        commands.create_consumer(consumer_of(tenant, device)).await?;
        let agent = start(&world, &creds, &home, &told)?;
        let site = Self { world, tenant, device, signer, operator, agent, creds, home, told };
        site.agent.logs("connected to the broker").await?;
        Ok(site)
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn creds(&self) -> &Path {
        &self.creds
    }

    /// The agent's next run.
    pub(super) fn start_again(&mut self) -> Result<()> {
        self.agent = start(&self.world, &self.creds, &self.home, &self.told)?;
        Ok(())
    }

    pub(super) fn terms(&self) -> CommandTerms {
        let now = UnixMillis::now();
        CommandTerms {
            tenant: self.tenant,
            device: self.device,
            created: now,
            expires: UnixMillis::new(now.get() + LIFE_MS),
            timeout_ms: None,
            requester: "story".into(),
        }
    }

    /// A command, changed behind the back of every check, and signed.
    pub(super) fn signed(
        &self,
        (kind, arguments): (&str, Value),
        change: impl FnOnce(&mut Command),
    ) -> Result<SignedCommand> {
        let order = Order::parse(kind, &arguments)?;
        let mut command = Command::new(CommandId::create(), &order, self.terms())?;
        change(&mut command);
        Ok(self.signer.sign(&command)?)
    }

    /// Publishes as the backend does, and waits for the stream.
    pub(super) async fn publish(&self, signed: &SignedCommand) -> Result<CommandId> {
        self.publish_payload(signed.to_payload()?).await?;
        Ok(signed.command_id)
    }

    pub(super) async fn publish_payload(&self, payload: Vec<u8>) -> Result<()> {
        self.publish_with(HeaderMap::new(), payload).await
    }

    pub(super) async fn publish_with(&self, headers: HeaderMap, payload: Vec<u8>) -> Result<()> {
        let subject = format!("tenant.{}.device.{}.command", self.tenant, self.device);
        let jetstream = jetstream::new(self.operator.clone());
        let published = jetstream.publish_with_headers(subject, headers, payload.into());
        published.await?.await?;
        Ok(())
    }

    /// Signs, publishes and waits for the end.
    pub(super) async fn order(&self, kind: &str, arguments: Value) -> Result<CommandEvent> {
        self.order_within(kind, arguments, None).await
    }

    pub(super) async fn order_within(
        &self,
        kind: &str,
        arguments: Value,
        timeout_ms: Option<u64>,
    ) -> Result<CommandEvent> {
        let signed = self.signed((kind, arguments), |command| {
            command.timeout_ms = timeout_ms.unwrap_or(command.timeout_ms);
        })?;
        let id = self.publish(&signed).await?;
        self.end_of(id).await
    }

    /// Every event of a command so far, in the order of the stream.
    pub(super) async fn events(&self, id: CommandId) -> Result<Vec<CommandEvent>> {
        let stream = self.responses().await?;
        let state = &stream.cached_info().state;
        let mut events = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await?;
            let event: CommandEvent = serde_json::from_slice(&message.payload)?;
            if event.command_id == id {
                events.push(event);
            }
        }
        Ok(events)
    }

    async fn responses(&self) -> Result<Stream> {
        let jetstream = jetstream::new(self.operator.clone());
        Ok(jetstream.get_stream("RESPONSES").await?)
    }

    /// Waits for a command's end.
    pub(super) async fn end_of(&self, id: CommandId) -> Result<CommandEvent> {
        let what = format!("the end of {id}; the agent said\n{}", self.agent.log());
        eventually_within(ANSWER_WITHIN, &what, async || {
            let events = self.events(id).await?;
            Ok(events.into_iter().find(|event| event.event == EventWord::Finished))
        })
        .await
    }

    /// Waits until so many events of this word are there.
    pub(super) async fn until(&self, id: CommandId, word: EventWord, count: usize) -> Result<()> {
        eventually_within(ANSWER_WITHIN, &format!("{count} {word:?} of {id}"), async || {
            let events = self.events(id).await?;
            let met = events.iter().filter(|event| event.event == word).count();
            Ok((met >= count).then_some(()))
        })
        .await
    }

    /// What the agent says of itself in its newest heartbeat, once `holds` of it.
    pub(super) async fn heartbeat(&self, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let jetstream = jetstream::new(self.operator.clone());
        let stream = jetstream.get_stream("HEARTBEATS").await?;
        let subject = format!("tenant.{}.device.{}.status.heartbeat", self.tenant, self.device);
        let what = format!("a heartbeat that says it; the agent said\n{}", self.agent.log());
        eventually(&what, async || {
            let Ok(newest) = stream.get_last_raw_message_by_subject(&subject).await else {
                return Ok(None);
            };
            let said: Value = serde_json::from_slice(&newest.payload)?;
            Ok(holds(&said["status"]["commands"]).then(|| said["status"]["commands"].clone()))
        })
        .await
    }
}

/// As the backend makes it.
pub(super) fn consumer_of(tenant: TenantId, device: DeviceId) -> pull::Config {
    pull::Config {
        durable_name: Some(device.to_string()),
        filter_subject: format!("tenant.{tenant}.device.{device}.command"),
        ack_wait: Duration::from_secs(30),
        ..pull::Config::default()
    }
}

fn start(world: &World, creds: &Path, home: &Path, told: &[(String, String)]) -> Result<Process> {
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let place = |name: &str| home.join(name).display().to_string();
    let environment = [
        text("NATS_URL", world.nats.url()),
        text("NATS_CREDS", creds.to_str().context("a path")?),
        text("WEGWEISER_AGENT_CONFIG", &place("agent.toml")),
        text("WEGWEISER_AGENT_SPOOL_DIR", &place("spool")),
        text("WEGWEISER_AGENT_STATUS_FILE", &place("status.json")),
        text("WEGWEISER_AGENT_COMMANDS_DIR", &place("commands")),
        text("WEGWEISER_AGENT_COMMAND_KEYS", &place("command-keys")),
        text("WEGWEISER_HEARTBEAT_INTERVAL_MS", "1000"),
        text("WEGWEISER_RECONNECT_SPREAD_MS", "250"),
    ];
    let tenant = text("WEGWEISER_TENANT", &world.tenants[0].to_string());
    let environment = environment.into_iter().chain([tenant]).chain(told.iter().cloned());
    let environment: Vec<(String, String)> = environment.collect();
    Process::start("wegweiser-agent", &environment, &world.path(""))
}

/// Code of the reason why a command did not succeed.
pub(super) fn code(event: &CommandEvent) -> &'static str {
    event.reason.as_ref().map_or("none", |reason| reason.code.as_str())
}

pub(super) fn succeeded(event: &CommandEvent) -> Result<&Value> {
    anyhow::ensure!(event.outcome == Some(CommandOutcome::Succeeded), "{event:?}");
    event.result.as_ref().context("a result")
}

/// Writes a program that is root's alone to change.
pub(crate) fn program(path: &Path, script: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

pub(super) fn run(program: &Path, arguments: &[&str]) -> Value {
    json!({ "program": program, "arguments": arguments })
}
