//! Commands all the way: `wegweiser command`, the outbox, the broker, a real agent that starts real
//! programs, a receiver, and the records.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use devstack::output;
use identity::DeviceRole;
use protocol::command::{CommandEvent, EventWord};
use protocol::{CommandId, SignedCommand};
use serde_json::{Value, json};
use storage::{CommandRow, Registration};

use super::site::{Site, program};
use crate::commands::desk::{row, until, way, wegweiser};
use crate::commands::outbox::web_database;
use crate::world::{Process, eventually, eventually_within, scrape, sql_client};

/// Each program marks that it ran by a line. One command runs at a time, so that marks show an order.
const CONFIGURATION: &str = r#"
[commands]
max_running = 1
[commands.run.mark]
program = "{home}/mark"
arguments = ["{name}"]
[commands.run.last]
program = "{home}/last"
arguments = ["{name}"]
[commands.run.stubborn]
program = "{home}/stubborn"
arguments = ["{name}"]
[commands.run.speak]
program = "{home}/speak"
arguments = ["{name}"]
"#;

/// A cancel reaches what runs within this time.
const CANCELLED_WITHIN: Duration = Duration::from_secs(2);
/// Commands expire in the records some time after they did in the stream.
const EXPIRED_WITHIN: Duration = Duration::from_secs(60);

/// A site with a receiver, and with a web service that publishes.
struct Whole {
    site: Site,
    receiver: Process,
    _web: Process,
}

impl Whole {
    async fn start() -> Result<Self> {
        let site = Site::open(CONFIGURATION).await?;
        let marks = site.home().join("marks");
        let gate = site.home().join("gate");
        let (marks, gate) = (marks.display(), gate.display());
        for (name, then) in [
            ("mark", String::new()),
            ("last", "exec sleep 600".to_owned()),
            ("stubborn", "trap '' TERM; while :; do sleep 0.1; done".to_owned()),
            (
                "speak",
                format!("echo first; while ! test -e {gate}; do sleep 0.05; done; echo last"),
            ),
        ] {
            let script = format!("echo \"$1\" >> {marks}\n{then}");
            program(&site.home().join(name), &script)?;
        }
        let (tenant, device) = (site.tenant, site.device);
        let records = site.world.records()?;
        records.ensure_tenant(tenant, "a customer").await?;
        let role = DeviceRole::Current.name();
        records.register_device(Registration { tenant, device, name: "", role }).await?;
        let receiver = site.world.receiver(&[])?;
        let web = site.world.web(web_database(&site.world).await?)?;
        Ok(Self { site, receiver, _web: web })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.home().join(name)
    }

    fn marks(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("marks")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Orders one of the programs with a mark, as an operator does.
    async fn run(&self, name: &str, mark: &str, more: &[&str]) -> Result<CommandId> {
        let device = self.site.device.to_string();
        let program = format!("program={}", self.path(name).display());
        let arguments = format!("arguments=[\"{mark}\"]");
        let order = ["send", "run", &program, &arguments, "--device", &device];
        let said = wegweiser(&self.site.world, 0, &[&order, more].concat()).await?;
        said.trim().parse().context(said)
    }

    async fn until(&self, command: CommandId, state: &str) -> Result<CommandRow> {
        until(&self.site.world, command, state).await
    }

    /// What was published as a command.
    async fn message(&self, command: CommandId) -> Result<Vec<u8>> {
        let client = sql_client(&self.site.world.database).await?;
        let sql = "select message from commands where command_uuid = $1";
        let message: String = client.query_one(sql, &[&command.as_uuid()]).await?.get(0);
        Ok(message.into_bytes())
    }

    /// The ends that the device told of a command, once there are so many.
    async fn ends(&self, command: CommandId, count: usize) -> Result<Vec<CommandEvent>> {
        self.site.until(command, EventWord::Finished, count).await?;
        let mut events = self.site.events(command).await?;
        events.retain(|event| event.event == EventWord::Finished);
        Ok(events)
    }
}

#[tokio::test]
async fn output_is_read_while_it_runs_and_a_second_delivery_gets_the_recorded_answer() -> Result<()>
{
    let whole = Whole::start().await?;
    let world = &whole.site.world;
    let command = whole.run("speak", "once", &[]).await?;
    let running = whole.until(command, "running").await?;
    let first = eventually("the first piece", async || {
        let pieces = world.records()?.command_output(&running, -1, 10).await?;
        Ok((!pieces.is_empty()).then_some(pieces))
    })
    .await?;
    assert_eq!((first.len(), first[0].number, first[0].chunk.as_str()), (1, 1, "first\n"));
    assert_eq!(row(world, command).await?.state.as_str(), "running", "as it comes");
    std::fs::write(whole.path("gate"), "")?;
    let ended = whole.until(command, "succeeded").await?;
    let rest = eventually("the rest, from there on", async || {
        let pieces = world.records()?.command_output(&ended, first[0].number, 10).await?;
        Ok((!pieces.is_empty()).then_some(pieces))
    })
    .await?;
    let rest: Vec<(i64, &str)> =
        rest.iter().map(|piece| (piece.number, piece.chunk.as_str())).collect();
    assert_eq!(rest, [(2, "last\n")]);

    // Without an id of its own, so that the stream takes each of them.
    let message = whole.message(command).await?;
    let mut ends = Vec::new();
    for told in [2, 3] {
        whole.site.publish_payload(message.clone()).await?;
        ends = whole.ends(command, told).await?;
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "word for word: {ends:?}");
    eventually("all three are stored", async || {
        let answers = "select count(*) from device_realtime_data where data_type = 'response'";
        Ok((world.count(answers).await? == 3).then_some(()))
    })
    .await?;
    assert_eq!(whole.marks(), ["once"]);
    assert_eq!(way(world, command).await?, ["queued", "delivered", "running", "succeeded"]);
    assert_eq!(row(world, command).await?.changed_at, ended.changed_at);
    Ok(())
}

#[tokio::test]
async fn a_cancel_reaches_what_runs_within_two_seconds() -> Result<()> {
    let whole = Whole::start().await?;
    let world = &whole.site.world;
    for name in ["last", "stubborn"] {
        let command = whole.run(name, name, &[]).await?;
        whole.until(command, "running").await?;
        let asked = Instant::now();
        wegweiser(world, 0, &["cancel", &command.to_string()]).await?;
        let ended = whole.until(command, "cancelled").await?;
        let took = asked.elapsed();
        output::note(&format!("{name}: cancelled in the records after {took:?}"));
        // From the order to the device's word, without the start of the operator's program.
        let order = "select floor(extract(epoch from created_at) * 1000)::bigint from commands
                     where kind = 'agent.cancel' order by position desc limit 1";
        let ordered_ms = world.count(order).await?;
        let way = world.records()?.command_transitions(command).await?;
        let told_ms = way.last().context("an end")?.at.get();
        let reached = Duration::from_millis(u64::try_from(told_ms - ordered_ms)?);
        output::note(&format!("{name}: {reached:?} from the order to the end at the broker"));
        assert!(reached < CANCELLED_WITHIN, "{name}: {reached:?}");
        assert_eq!(ended.reason_code.as_deref(), Some("cancelled"), "{ended:?}");
        assert!(!ended.assumed, "the device's own word");
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_is_killed_in_the_middle_tells_so_and_never_runs_it_again() -> Result<()> {
    let mut whole = Whole::start().await?;
    let command = whole.run("last", "begun", &[]).await?;
    whole.until(command, "running").await?;
    eventually("it runs", async || Ok((whole.marks() == ["begun"]).then_some(()))).await?;
    let waiting = whole.run("mark", "behind", &[]).await?;
    whole.site.heartbeat(|said| said["waiting"] == 1 && said["running"] == 1).await?;
    whole.site.agent.kill()?;
    whole.site.start_again()?;
    let ended = whole.until(command, "failed").await?;
    assert_eq!(ended.reason_code.as_deref(), Some("interrupted"), "{ended:?}");
    whole.until(waiting, "succeeded").await?;
    // Not by itself, nor by a second delivery, nor by another start.
    let message = whole.message(command).await?;
    whole.site.publish_payload(message.clone()).await?;
    whole.ends(command, 2).await?;
    whole.site.agent.kill()?;
    whole.site.start_again()?;
    whole.site.publish_payload(message).await?;
    whole.ends(command, 3).await?;
    let later = whole.run("mark", "later", &[]).await?;
    whole.until(later, "succeeded").await?;
    assert_eq!(whole.marks(), ["begun", "behind", "later"]);
    Ok(())
}

#[tokio::test]
async fn a_device_that_returns_runs_what_has_not_expired_in_its_order() -> Result<()> {
    let mut whole = Whole::start().await?;
    whole.site.agent.kill()?;
    let (mut short, mut long, mut marks) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..4 {
        short.push(whole.run("mark", &format!("short-{number}"), &["--expires", "2s"]).await?);
        let mark = format!("long-{number}");
        long.push(whole.run("mark", &mark, &[]).await?);
        marks.push(mark);
    }
    let world = &whole.site.world;
    for command in &short {
        let expired = eventually_within(EXPIRED_WITHIN, "it has expired", async || {
            let row = row(world, *command).await?;
            Ok((row.state.as_str() == "expired").then_some(row))
        });
        assert_eq!(expired.await?.reason_code.as_deref(), Some("expired"));
    }
    for command in &long {
        let waits = row(world, *command).await?;
        assert_eq!((waits.state.as_str(), waits.published_at.is_some()), ("queued", true));
    }
    whole.site.start_again()?;
    for command in &long {
        whole.until(*command, "succeeded").await?;
    }
    assert_eq!(whole.marks(), marks, "the unexpired, in their order");
    for command in &short {
        assert_eq!(row(&whole.site.world, *command).await?.state.as_str(), "expired");
        assert!(whole.site.events(*command).await?.is_empty(), "its device never met it");
    }
    Ok(())
}

#[tokio::test]
async fn a_command_that_is_changed_on_its_way_is_rejected_and_counted_on_both_sides() -> Result<()>
{
    let mut whole = Whole::start().await?;
    whole.site.agent.kill()?;
    let command = whole.run("mark", "genuine", &[]).await?;
    let world = &whole.site.world;
    eventually("it is in the stream", async || {
        Ok((world.messages_in("COMMANDS").await? == 1).then_some(()))
    })
    .await?;
    // Somebody with the backend's rights takes it out and puts another in its place.
    let stream = jetstream::new(whole.site.operator.clone()).get_stream("COMMANDS").await?;
    stream.purge().await?;
    let mut changed = SignedCommand::read(&whole.message(command).await?)?;
    changed.signed = changed.signed.replace("\"genuine\"", "\"forged\"");
    whole.site.publish(&changed).await?;
    whole.site.start_again()?;
    let rejected = whole.until(command, "rejected").await?;
    assert_eq!(rejected.reason_code.as_deref(), Some("wrong_signature"), "{rejected:?}");
    let text = wegweiser(&whole.site.world, 0, &["show", &command.to_string()]).await?;
    assert!(text.contains("rejected") && text.contains("wrong_signature"), "{text}");
    let counted = whole.site.heartbeat(|said| said["refused"]["wrong_signature"] == 1).await?;
    assert_eq!(counted["refused"], json!({ "wrong_signature": 1 }), "{counted}");
    let page = scrape(&whole.receiver, "health listening").await?;
    let figure = "wegweiser_command_refusals_total{reason=\"wrong_signature\"}";
    assert_eq!(page.value(figure)?, 1.0);
    assert_eq!(whole.marks(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn what_devices_answer_to_commands_stands_in_the_books() -> Result<()> {
    let whole = Whole::start().await?;
    let command = whole.run("mark", "one", &[]).await?;
    whole.until(command, "succeeded").await?;
    // Its start and its end, once a heartbeat told of them.
    eventually("the device said so", async || {
        let told = "select count(*) from device_ledger_told where told #>> '{sent,response}' = '2'";
        Ok((whole.site.world.count(told).await? == 1).then_some(()))
    })
    .await?;
    let (code, line) = whole.responses().await?;
    assert_eq!((code, &line["stored"], &line["missing"]), (0, &2.into(), &0.into()), "{line}");
    let client = sql_client(&whole.site.world.database).await?;
    let lost =
        "update device_ledger set stored = '{[1,2)}'::int8multirange where kind = 'response'";
    assert_eq!(client.execute(lost, &[]).await?, 1);
    let (code, line) = eventually("one is missing", async || {
        let (code, line) = whole.responses().await?;
        Ok((line["missing"] != 0).then_some((code, line)))
    })
    .await?;
    assert_eq!((code, &line["missing"], &line["stored"]), (2, &1.into(), &1.into()), "{line}");
    Ok(())
}

impl Whole {
    /// What the books say of the device's answers, and how `wegweiser ledger` ended.
    async fn responses(&self) -> Result<(i32, Value)> {
        let device = self.site.device.to_string();
        let verb = ["ledger", "--device", &device, "--output", "json"];
        let (code, said) = self.site.world.wegweiser(&verb).await?;
        let books: Value = serde_json::from_str(&said).context(said)?;
        let mut lines = books["devices"].as_array().into_iter().flatten();
        let line = lines.find(|line| line["stream"] == "RESPONSES").cloned();
        Ok((code, line.unwrap_or_default()))
    }
}
