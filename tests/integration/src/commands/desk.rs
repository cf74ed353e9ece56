//! Who orders and who answers in these stories: the operator's command, and a device that speaks
//! the contract through a plain client, so that it can also say things late, twice and out of order.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use futures::StreamExt as _;
use identity::{DeviceRole, PublicKey, verify_command};
use protocol::{Command, CommandId, DeviceId, SignedCommand};
use serde_json::{Value, json};
use storage::{CommandRow, Registration};

use crate::world::{Device, SOON, World, eventually, eventually_within};

/// Longest wait for a command that is on its way.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);

/// A registered device at the broker.
pub(super) async fn device(world: &World, tenant: usize, role: DeviceRole) -> Result<Device> {
    let device = world.device_as(tenant, role).await?;
    let records = world.records()?;
    records.ensure_tenant(device.tenant, "a customer").await?;
    let (tenant, role) = (device.tenant, role.name());
    records.register_device(Registration { tenant, device: device.id, name: "", role }).await?;
    Ok(device)
}

/// What `wegweiser command …` says, which has to end with `code`.
pub(crate) async fn wegweiser(world: &World, code: i32, arguments: &[&str]) -> Result<String> {
    let arguments = [&["command"], arguments].concat();
    let (ended, said) = world.wegweiser(&arguments).await?;
    ensure!(ended == code, "{arguments:?}: {ended}, not {code}: {said}");
    Ok(said)
}

/// Sends a command to one device, without waiting.
pub(super) async fn send(world: &World, device: &Device, order: &[&str]) -> Result<CommandId> {
    send_to(world, device.id, order).await
}

/// The same to the device of this id.
pub(crate) async fn send_to(world: &World, device: DeviceId, order: &[&str]) -> Result<CommandId> {
    let id = device.to_string();
    let said = wegweiser(world, 0, &[&["send"], order, &["--device", &id]].concat()).await?;
    said.trim().parse().context(said)
}

/// The command as operators see it.
pub(crate) async fn row(world: &World, command: CommandId) -> Result<CommandRow> {
    world.records()?.command(command).await?.context("the command is there")
}

/// Waits until a command is in a state.
pub(crate) async fn until(world: &World, command: CommandId, state: &str) -> Result<CommandRow> {
    until_within(SOON, world, command, state).await
}

/// The same, for what takes longer.
pub(crate) async fn until_within(
    limit: Duration,
    world: &World,
    command: CommandId,
    state: &str,
) -> Result<CommandRow> {
    eventually_within(limit, &format!("{command} is {state}"), async || {
        let row = row(world, command).await?;
        Ok((row.state.as_str() == state).then_some(row))
    })
    .await
}

/// The states that a command reached, in their order.
pub(crate) async fn way(world: &World, command: CommandId) -> Result<Vec<&'static str>> {
    let way = world.records()?.command_transitions(command).await?;
    Ok(way.iter().map(|reached| reached.state.as_str()).collect())
}

/// A command as its device gets it; not acknowledged yet.
pub(super) struct Given {
    pub(super) command: Command,
    reply: String,
}

impl Given {
    pub(super) const fn id(&self) -> CommandId {
        self.command.command_id
    }
}

/// The next command of a device, which is signed by the story's key; `None`: there is none now.
pub(super) async fn next(world: &World, device: &Device) -> Result<Option<Given>> {
    let inbox = device.nats.new_inbox();
    let mut answers = device.nats.subscribe(inbox.clone()).await?;
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.COMMANDS.{}", device.id);
    let request = json!({ "batch": 1, "no_wait": true }).to_string();
    device.nats.publish_with_reply(subject, inbox, request.into()).await?;
    let answer = tokio::time::timeout(DELIVERED_WITHIN, answers.next()).await?;
    let answer = answer.context("an answer")?;
    if answer.status.is_some() {
        return Ok(None);
    }
    let believed: Vec<PublicKey> = world.command_keys()?;
    let signed = SignedCommand::read(&answer.payload)?;
    let command = verify_command(&signed, &believed)?;
    ensure!(command.device == device.id && command.tenant == device.tenant, "{command:?}");
    let reply = answer.reply.context("where to acknowledge")?.to_string();
    Ok(Some(Given { command, reply }))
}

/// Waits for the next command, and acknowledges it.
pub(super) async fn take(world: &World, device: &Device) -> Result<Given> {
    let given = eventually("a command", async || next(world, device).await).await?;
    acknowledge(device, &given).await?;
    Ok(given)
}

/// As a device whose journal has it.
pub(super) async fn acknowledge(device: &Device, given: &Given) -> Result<()> {
    device.nats.request(given.reply.clone(), "+ACK".into()).await?;
    Ok(())
}

/// One event of a command, under its own id; waits until the stream has it.
pub(super) async fn tell(
    device: &Device,
    command: CommandId,
    number: u32,
    event: Value,
) -> Result<()> {
    let mut body = json!({
        "command_id": command, "device_uuid": device.id, "tenant_uuid": device.tenant,
        "timestamp_ms": crate::world::now_ms(), "number": number, "status": "running",
    });
    for (field, value) in event.as_object().into_iter().flatten() {
        body[field] = value.clone();
    }
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("{command}-{number}"));
    let request = async_nats::Request::new().headers(headers).payload(body.to_string().into());
    let taken = device.nats.send_request(device.subject("response"), request).await?;
    ensure!(!taken.payload.starts_with(b"{\"error"), "{taken:?}");
    Ok(())
}

pub(super) fn started() -> Value {
    json!({ "event": "started" })
}

pub(super) fn output(chunk: &str) -> Value {
    json!({ "event": "output", "stream": "stdout", "chunk": chunk, "offset": 0 })
}

pub(super) fn finished(outcome: &str) -> Value {
    let status = if outcome == "succeeded" { "success" } else { "error" };
    let reason = match outcome {
        "succeeded" => Value::Null,
        _ => json!({ "code": "program_failed", "text": "it ended with 3" }),
    };
    json!({ "event": "finished", "status": status, "outcome": outcome, "reason": reason,
            "result": { "answer": 42 } })
}
