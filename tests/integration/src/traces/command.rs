//! One command as a collector sees it: from the request that orders it to its device, and back into
//! its row, in one trace.

use anyhow::{Context as _, Result, ensure};
use identity::{CommandSigner, DeviceRole};
use serde_json::{Value, json};
use storage::{ApiRole, Registration};

use super::collector::{Collector, Span};
use super::tree::tree;
use super::{CLIENT, INTERNAL, SERVER, agent_of, below, follows_conventions, told};
use crate::commands::outbox::web_database;
use crate::commands::over_http::token;
use crate::world::{World, eventually, send_json};

const COMMAND: &str = "tenant.{tenant}.device.{device}.command";
const RESPONSE: &str = "tenant.{tenant}.device.{device}.response";

#[tokio::test]
async fn a_command_is_one_trace_from_its_order_to_its_device_and_back_to_its_row() -> Result<()> {
    let (world, collector) = (World::start().await?, Collector::start().await?);
    // What begins here is not recorded, but for what a person asked for.
    let mut settings = collector.settings();
    settings.push(("OTEL_TRACES_SAMPLER".to_owned(), "parentbased_traceidratio".to_owned()));
    settings.push(("OTEL_TRACES_SAMPLER_ARG".to_owned(), "0".to_owned()));
    let (device, creds) = world.device_creds(0, DeviceRole::Current)?;
    let (records, tenant) = (world.records()?, world.tenants[0]);
    let role = DeviceRole::Current.name();
    records.ensure_tenant(tenant, "a customer").await?;
    records.register_device(Registration { tenant, device, name: "", role }).await?;
    let mut receiver = world.receiver(&told(&settings))?;
    let keys = world.path("keys/commands").display().to_string();
    let mut of_web = told(&settings);
    of_web.extend([("WEGWEISER_ISSUING_KEYS", ""), ("WEGWEISER_COMMAND_KEYS", &keys)]);
    let mut web = world.web_with(web_database(&world).await?, &of_web)?;
    let mut of_agent = settings.clone();
    of_agent.extend(believing(&world)?);
    let mut agent = agent_of(&world, &creds, &of_agent)?;

    let token = token(&world, tenant, ApiRole::Operator).await?;
    let ping = json!({ "devices": [device], "kind": "ping" }).to_string();
    let (status, answer) = send_json(&web, "/v1/commands", token.expose(), &ping).await?;
    ensure!(status == 202, "{answer}");
    let id = device.to_string();
    let order = ["command", "send", "ping", "--device", &id, "--wait"];
    let (code, said) = world.wegweiser_told(&order, &told(&settings)).await?;
    ensure!(code == 0, "{said}");
    eventually("both ends in their traces, and what was settled for them", async || {
        let spans = collector.spans();
        let settled = spans.iter().filter(|span| span.name == format!("settle {RESPONSE}"));
        let settled: usize = settled
            .map(|span| span.attributes["messaging.batch.message_count"].parse().unwrap_or(0))
            .sum();
        Ok((settled >= 4 && spans.iter().filter(|span| ends_well(span)).count() == 2).then_some(()))
    })
    .await?;
    for process in [&mut web, &mut agent, &mut receiver] {
        process.stop().await?;
    }
    let sent: Value = serde_json::from_str(&answer)?;
    let command = sent["commands"][0]["command"].as_str().context("an id")?;
    let spans = collector.spans();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    ensure!(roots.len() == 2, "what nobody asked for is recorded: {roots:#?}");
    for root in roots {
        let of_trace = spans.iter().filter(|span| span.trace == root.trace);
        let of_trace: Vec<Span> = of_trace.cloned().collect();
        match root.service.as_str() {
            "wegweiser-web" => holds(&of_trace, root, command)?,
            _ => typed_order_holds(&of_trace, root)?,
        }
    }
    Ok(())
}

/// What an agent is told so that it believes the world's command keys.
fn believing(world: &World) -> Result<Vec<(String, String)>> {
    let trusted = CommandSigner::with_keys(world.command_secrets()?)?.trust().keys.join("\n");
    let (keys, dir) = (world.path("command-keys"), world.path("commands"));
    std::fs::write(&keys, format!("{trusted}\n"))?;
    Ok(vec![
        ("WEGWEISER_AGENT_COMMAND_KEYS".to_owned(), keys.display().to_string()),
        ("WEGWEISER_AGENT_COMMANDS_DIR".to_owned(), dir.display().to_string()),
    ])
}

fn ends_well(span: &Span) -> bool {
    let state = span.attributes.get("wegweiser.command.state");
    span.name == "UPDATE commands" && state.is_some_and(|state| state == "succeeded")
}

/// What somebody typed is a trace too, down to its device and its row.
fn typed_order_holds(spans: &[Span], root: &Span) -> Result<()> {
    let tree = tree(spans, root);
    assert_eq!(
        (root.name.as_str(), root.kind, root.service.as_str()),
        ("order ping", INTERNAL, "wegweiser"),
        "{tree}"
    );
    below(spans, root, "INSERT commands")?;
    let send = below(spans, root, &format!("send {COMMAND}"))?;
    let taken = below(spans, send, &format!("process {COMMAND}"))?;
    below(spans, taken, "execute ping")?;
    let end = spans.iter().find(|span| ends_well(span)).context(tree)?;
    assert_eq!(end.parent, root.id);
    Ok(())
}

/// Each span of the requested command's trace is where it belongs.
fn holds(spans: &[Span], root: &Span, command: &str) -> Result<()> {
    let tree = tree(spans, root);
    show(&tree);
    assert_eq!((root.name.as_str(), root.kind), ("POST /v1/commands", SERVER), "{tree}");
    assert_eq!(root.attributes["http.response.status_code"], "202");
    assert!(!spans.iter().any(|span| span.failed), "{spans:#?}");

    let ordered = below(spans, root, "INSERT commands")?;
    assert_eq!((ordered.kind, ordered.service.as_str()), (CLIENT, "wegweiser-web"), "{tree}");
    let send = below(spans, root, &format!("send {COMMAND}"))?;
    follows_conventions(send, COMMAND)?;
    assert_eq!(send.service, "wegweiser-web");
    assert_eq!(send.attributes["messaging.message.id"], command);
    assert!(ordered.ended <= send.began, "published before it was a row: {tree}");
    let taken = below(spans, send, &format!("process {COMMAND}"))?;
    follows_conventions(taken, COMMAND)?;
    assert_eq!(taken.service, "wegweiser-agent");
    let execute = below(spans, taken, "execute ping")?;
    assert_eq!((execute.kind, execute.service.as_str()), (INTERNAL, "wegweiser-agent"), "{tree}");
    assert_eq!(execute.attributes["wegweiser.command.outcome"], "succeeded");

    let answers: Vec<&Span> =
        spans.iter().filter(|span| span.name == format!("send {RESPONSE}")).collect();
    assert!(answers.len() >= 2, "it began, and it ended: {tree}");
    for answer in &answers {
        follows_conventions(answer, RESPONSE)?;
        assert_eq!((&answer.parent, answer.service.as_str()), (&execute.id, "wegweiser-agent"));
    }
    let mut written = Vec::new();
    for receive in spans.iter().filter(|span| span.name == format!("receive {RESPONSE}")) {
        assert!(answers.iter().any(|answer| answer.id == receive.parent), "{tree}");
        let process = below(spans, receive, &format!("process {RESPONSE}"))?;
        let linked = |link: &(String, String)| answers.iter().any(|answer| answer.id == link.1);
        assert!(!process.links.is_empty() && process.links.iter().all(linked), "{process:?}");
        let insert = below(spans, process, "INSERT device_realtime_data")?;
        let settle = below(spans, process, &format!("settle {RESPONSE}"))?;
        for span in [receive, process, settle] {
            follows_conventions(span, RESPONSE)?;
        }
        assert!(insert.ended <= settle.began, "acknowledged before it was durable: {tree}");
        written.push((root.trace.clone(), insert.id.clone()));
    }

    let end = spans.iter().find(|span| ends_well(span)).context("its end")?;
    assert_eq!((&end.parent, end.kind), (&root.id, CLIENT), "{tree}");
    assert_eq!(end.service, "wegweiser-receiver");
    assert_eq!(end.attributes["db.system.name"], "postgresql");
    assert!(end.links.len() == 1 && written.contains(&end.links[0]), "{end:?} {written:?}");
    Ok(())
}

#[expect(clippy::print_stderr, reason = "docs/tracing.md has one; shown with --nocapture")]
fn show(tree: &str) {
    eprintln!("{tree}");
}
