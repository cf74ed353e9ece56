//! What a collector sees: one message's way from its device into Postgres as one trace, and a batch
//! as a trace that leads to each of its messages'.

pub(crate) mod collector;
mod command;
mod tree;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use identity::DeviceRole;

use crate::world::{Process, World, eventually, now_ms};
use collector::{Collector, Span};

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const HEARTBEAT: &str = "tenant.{tenant}.device.{device}.status.heartbeat";
/// So many that some batch has more than it may link to.
const POINTS: usize = 2_000;
const LINKS_MAX: usize = 64;
const POINT: &str = "tenant.{tenant}.demo.system.{device}.{metric_type}";

fn told(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn agent(world: &World, more: &[(String, String)]) -> Result<Process> {
    let (_, creds) = world.device_creds(0, DeviceRole::Current)?;
    agent_of(world, &creds, more)
}

fn agent_of(world: &World, creds: &Path, more: &[(String, String)]) -> Result<Process> {
    let mut environment = vec![
        ("NATS_URL".to_owned(), world.nats.url().to_owned()),
        ("NATS_CREDS".to_owned(), creds.display().to_string()),
        ("WEGWEISER_TENANT".to_owned(), world.tenants[0].to_string()),
        ("WEGWEISER_HEARTBEAT_INTERVAL_MS".to_owned(), "1000".to_owned()),
    ];
    for (setting, file) in
        [("WEGWEISER_AGENT_STATUS_FILE", "status.json"), ("WEGWEISER_AGENT_SPOOL_DIR", "spool")]
    {
        environment.push((setting.to_owned(), world.path(file).display().to_string()));
    }
    environment.extend(more.iter().cloned());
    Process::start("wegweiser-agent", &environment, &world.path(""))
}

/// What the conventions ask of every span of messaging: named by operation and destination, with the
/// kind that belongs to the operation.
fn follows_conventions(span: &Span, template: &str) -> Result<()> {
    let told = |key: &str| span.attributes.get(key).map_or("", String::as_str);
    let operation = told("messaging.operation.name");
    ensure!(span.name == format!("{operation} {template}"), "{span:?}");
    for (key, value) in [
        ("messaging.system", "nats"),
        ("messaging.operation.type", operation),
        ("messaging.destination.template", template),
    ] {
        ensure!(told(key) == value, "{key} is {:?} in {span:?}", told(key));
    }
    let kind = match operation {
        "send" => PRODUCER,
        "process" => CONSUMER,
        "receive" | "settle" => CLIENT,
        _ => anyhow::bail!("no operation of the conventions: {span:?}"),
    };
    ensure!(span.kind == kind, "{span:?}");
    // One message is named; a batch is counted.
    let one = ["messaging.destination.name", "messaging.message.id", "messaging.message.body.size"];
    let named = one.iter().all(|key| !told(key).is_empty());
    let counted = !told("messaging.batch.message_count").is_empty();
    ensure!(named != counted, "{span:?}");
    Ok(())
}

/// The one span of that name below another.
fn below<'a>(spans: &'a [Span], parent: &Span, name: &str) -> Result<&'a Span> {
    let found: Vec<&Span> = spans
        .iter()
        .filter(|span| span.name == name && span.parent == parent.id && span.trace == parent.trace)
        .collect();
    ensure!(found.len() == 1, "{} spans {name} below {}: {spans:#?}", found.len(), parent.name);
    Ok(found[0])
}

#[tokio::test]
async fn a_heartbeat_is_one_trace_from_its_agent_to_its_row() -> Result<()> {
    let (world, collector) = (World::start().await?, Collector::start().await?);
    let settings = collector.settings();
    let mut receiver = world.receiver(&told(&settings))?;
    receiver.logs("health listening").await?;
    let mut agent = agent(&world, &settings)?;
    let sent = |span: &Span| span.name == format!("send {HEARTBEAT}");
    let settled = |span: &Span| span.name == format!("settle {HEARTBEAT}");
    eventually("a heartbeat's trace", async || {
        let spans = collector.spans();
        let whole = spans
            .iter()
            .filter(|span| sent(span))
            .any(|send| spans.iter().any(|span| settled(span) && span.trace == send.trace));
        Ok(whole.then_some(()))
    })
    .await?;
    agent.stop().await?;
    receiver.stop().await?;

    let spans = collector.spans();
    let settle = spans.iter().find(|span| settled(span)).context("a settled heartbeat")?;
    let in_trace = |span: &&Span| span.trace == settle.trace;
    let trace: Vec<Span> = spans.iter().filter(in_trace).cloned().collect();
    let send = trace.iter().find(|span| sent(span)).context("the agent's part of the trace")?;
    assert_eq!((send.kind, send.parent.as_str()), (PRODUCER, ""), "{send:?}");
    assert_eq!(send.service, "wegweiser-agent");
    let receive = below(&trace, send, &format!("receive {HEARTBEAT}"))?;
    assert_eq!((receive.kind, receive.service.as_str()), (CLIENT, "wegweiser-receiver"));
    let process = below(&trace, receive, &format!("process {HEARTBEAT}"))?;
    assert_eq!(process.kind, CONSUMER);
    assert_eq!(process.links, [(send.trace.clone(), send.id.clone())]);
    let insert = below(&trace, process, "INSERT device_connectivity")?;
    assert_eq!((insert.kind, insert.failed), (CLIENT, false));
    let settle = below(&trace, process, &format!("settle {HEARTBEAT}"))?;
    assert_eq!(settle.kind, CLIENT);
    assert!(insert.ended <= settle.began, "acknowledged before it was durable: {trace:#?}");
    for span in [send, receive, process, settle] {
        follows_conventions(span, HEARTBEAT)?;
    }
    for span in [receive, process, settle] {
        assert_eq!(span.attributes["messaging.batch.message_count"], "1");
        assert_eq!(span.attributes["messaging.consumer.group.name"], "connectivity");
    }
    assert!(send.attributes["messaging.message.id"].contains(":heartbeat:"), "{send:?}");
    assert_eq!(insert.attributes["db.system.name"], "postgresql");
    assert_eq!(insert.attributes["db.collection.name"], "device_connectivity");
    Ok(())
}

/// A `traceparent` of the `n`th trace.
fn traceparent(n: usize, recorded: bool) -> String {
    format!("00-{:032x}-{:016x}-{:02x}", n + 1, n + 1, u8::from(recorded))
}

#[tokio::test]
async fn a_batch_leads_to_each_recorded_message_and_is_left_out_where_none_is() -> Result<()> {
    let (world, collector) = (World::start().await?, Collector::start().await?);
    let device = world.device(0).await?;
    // Before any receiver, so that they come as one batch.
    let subject = format!("demo.system.{}.uptime", device.id);
    let point = |n: usize| {
        let (id, tenant, at) = (device.id, device.tenant, now_ms() + i64::try_from(n).unwrap_or(0));
        format!(
            r#"{{"device_uuid":"{id}","tenant_uuid":"{tenant}","metric_type":"uptime","value":{n},"timestamp_ms":{at}}}"#
        )
    };
    for n in 0..POINTS {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("traceparent", traceparent(n, n % 2 == 0).as_str());
        device.nats.publish_with_headers(subject.clone(), headers, point(n).into()).await?;
    }
    let mut unrecorded = async_nats::HeaderMap::new();
    unrecorded.insert("traceparent", traceparent(500, false).as_str());
    let report = device.subject("monitoring");
    device.nats.publish_with_headers(report, unrecorded, "{}".into()).await?;
    device.nats.flush().await?;
    eventually("all in their streams", async || {
        let points = world.messages_in("METRICS").await? == POINTS as u64;
        Ok((points && world.messages_in("MONITORING").await? == 1).then_some(()))
    })
    .await?;
    let mut settings = collector.settings();
    // Of what begins here, nothing: so all that is recorded is recorded for a message's sake.
    settings.push(("OTEL_TRACES_SAMPLER".to_owned(), "parentbased_traceidratio".to_owned()));
    settings.push(("OTEL_TRACES_SAMPLER_ARG".to_owned(), "0".to_owned()));
    let mut receiver = world.receiver(&told(&settings))?;
    let broker = world.broker("receiver").await?;
    eventually("all of them written", async || {
        let reports = world.count("select count(*) from device_realtime_data").await?;
        let points = broker.consumer_state("METRICS", "rings").await?;
        Ok((reports == 1 && points.is_drained()).then_some(()))
    })
    .await?;
    receiver.stop().await?;

    let spans = collector.spans();
    let batches: Vec<&Span> =
        spans.iter().filter(|span| span.name == format!("process {POINT}")).collect();
    let mut linked = BTreeSet::new();
    for process in &batches {
        assert!((1..=LINKS_MAX).contains(&process.links.len()), "{process:?}");
        linked.extend(process.links.iter().cloned());
        let receive = spans.iter().find(|span| span.id == process.parent).context("its parent")?;
        assert_eq!((receive.parent.as_str(), &receive.links), ("", &process.links));
        let below = |span: &&Span| span.parent == process.id && span.kind == CLIENT;
        assert!(spans.iter().filter(below).any(|span| span.name == "PIPELINE"), "{spans:#?}");
    }
    let full = batches.iter().any(|batch| batch.links.len() == LINKS_MAX);
    assert!(full, "no batch had more than it may link to: {batches:#?}");
    let links: usize = batches.iter().map(|batch| batch.links.len()).sum();
    assert_eq!(links, linked.len(), "a message that two batches link to");
    let recorded = |n: usize| (format!("{:032x}", n + 1), format!("{:016x}", n + 1));
    let recorded: BTreeSet<_> = (0..POINTS).step_by(2).map(recorded).collect();
    assert!(linked.is_subset(&recorded), "a link to what is not recorded");
    let reported = spans.iter().filter(|span| span.name.contains(".monitoring"));
    assert_eq!(reported.count(), 0, "its sender's trace is not recorded");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_traces_nothing_sends_no_header_for_it() -> Result<()> {
    let world = World::start().await?;
    let mut agent = agent(&world, &[])?;
    eventually("a heartbeat", async || {
        Ok((world.messages_in("HEARTBEATS").await? > 0).then_some(()))
    })
    .await?;
    agent.stop().await?;
    let jetstream = async_nats::jetstream::new(world.operator().await?);
    let heartbeat = jetstream.get_stream("HEARTBEATS").await?.get_raw_message(1).await?;
    assert!(heartbeat.headers.get("Nats-Msg-Id").is_some(), "its own header");
    assert!(heartbeat.headers.get("traceparent").is_none(), "{:?}", heartbeat.headers);
    Ok(())
}
