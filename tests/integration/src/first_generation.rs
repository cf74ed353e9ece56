//! Agents of the first generation keep working unchanged, and so does the web app that reads them.
//!
//! Both are Python programs in `tests/first-generation` with the usual libraries and nothing of
//! ours: the agent is given an address and a creds file, the reader Redis and Postgres.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use identity::DeviceRole;
use protocol::{DeviceId, TenantId};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::world::{World, eventually, repository};

/// Longest that one of the programs may take; their own limits are shorter.
const PROGRAM_LIMIT: Duration = Duration::from_secs(60);
/// Points of each metric that the web app asks for.
const CHART_POINTS: &str = "50";

#[tokio::test]
async fn every_shape_of_the_field_arrives_where_the_first_web_app_reads_it() -> Result<()> {
    let python = python().await?;
    let world = World::start().await?;
    let _receiver = world.receiver(&[])?;
    let mut agents = Vec::new();
    for (tenant, heartbeat) in [(0, "status.heartbeat"), (1, "heartbeat"), (0, "status")] {
        agents.push(Agent::start(&python, &world, tenant, heartbeat)?);
    }
    for agent in &mut agents {
        agent.wait_until_reported().await?;
        send_ping(&world, agent).await?;
    }
    for agent in &mut agents {
        agent.wait_for_end().await?;
    }
    eventually("three reports and four responses of each", async || {
        let rows = world.count("select count(*) from device_realtime_data").await?;
        Ok((rows == 3 * 7).then_some(()))
    })
    .await?;
    for agent in &agents {
        eventually("a heartbeat and every chart", async || {
            let seen = web_app(&python, &world, agent.device).await?;
            let charts = seen["metrics"].as_object().context("no metrics")?;
            let drawn: usize = charts.values().map(|points| array(points).len()).sum();
            let row = &seen["connectivity"][0];
            Ok((drawn >= 8 && !row.is_null()).then_some(seen))
        })
        .await
        .map(|seen| assert_seen(agent, &seen))?;
    }
    let online = "select count(*) from device_connectivity where is_online";
    assert_eq!(world.count(online).await?, 3);
    let failed = "select count(*) from device_realtime_data where status = 'error'";
    assert_eq!(world.count(failed).await?, 3, "the response that tells of a failure");
    assert_eq!(world.messages_in("DEAD_LETTERS").await?, 0, "nothing of this is refused");
    Ok(())
}

/// What agent.py sends, in the places, units and words of the first web app.
fn assert_seen(agent: &Agent, seen: &Value) {
    let now = agent.now_ms;
    let charts = &seen["metrics"];
    let cpu = json!([[now - 4000, 12.5], [now - 2000, 13], [now, 14.25]]);
    assert_eq!(charts["cpu_percent"], cpu, "oldest first");
    assert_eq!(charts["memory_percent"], json!([[now / 1000 * 1000, 40.5]]), "whole seconds");
    assert_eq!(charts["disk_percent"], json!([[now, 71]]), "seconds with a fraction");
    assert_eq!(charts["network_bytes_in"], json!([[now, 123_456_789]]), "in an envelope");
    assert_eq!(charts["network_bytes_out"], json!([[now, 5]]), "without a name");
    assert_eq!(charts["uptime"][0][1], json!(3600), "without a time");
    assert_soon_after(&charts["uptime"][0][0], now, "the broker's time in its place");

    let row = &seen["connectivity"][0];
    assert_eq!(array(&seen["connectivity"]).len(), 1);
    assert_eq!(row["deviceuuid"], json!(agent.device));
    assert_eq!((&row["is_online"], &row["agent_version"]), (&json!(true), &json!("1.8.2")));
    assert_eq!(row["connection_info"]["system_info"]["hostname"], "web-1");
    assert_eq!(row["connection_info"]["session_id"], format!("session-of-{}", agent.heartbeat));
    for field in ["last_online_change", "last_seen_online", "last_heartbeat"] {
        let seconds = row[field].as_i64().unwrap_or_default();
        assert_soon_after(&json!((seconds + 1) * 1000), now, field);
    }

    let newest = array(&seen["realtime"]);
    let types: Vec<&Value> = newest.iter().map(|row| &row["data_type"]).collect();
    assert_eq!(types, ["hardware", "monitoring", "network", "response"]);
    let told = |index: usize| -> Value {
        let text = newest[index]["data_value"].as_str().unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    };
    assert_eq!(told(0)["cpu"]["cores"], 8);
    assert_eq!(told(1)["disks"], json!([{ "mount": "/", "used": 0.5 }]), "no monitoring_type");
    assert_eq!(told(2)["interfaces"], json!(["eth0"]), "the envelope is off");
    assert_eq!(told(3)["result"]["result"], "pong", "the newest response answers the command");
}

fn assert_soon_after(milliseconds: &Value, now: i64, what: &str) {
    let at = milliseconds.as_i64().unwrap_or_default();
    let limit = i64::try_from(PROGRAM_LIMIT.as_millis()).unwrap_or(i64::MAX);
    assert!((now..now + limit).contains(&at), "{what}: {at} is not soon after {now}");
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// agent.py as it runs: it reports, then waits for one command and answers it.
struct Agent {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    tenant: TenantId,
    device: DeviceId,
    heartbeat: &'static str,
    now_ms: i64,
}

impl Agent {
    fn start(python: &Path, world: &World, tenant: usize, heartbeat: &'static str) -> Result<Self> {
        let (device, creds) = world.device_creds(tenant, DeviceRole::FirstGeneration)?;
        let tenant = world.tenants[tenant];
        let mut child = script(python, "agent.py")
            .args([world.nats.url(), &creds.display().to_string()])
            .arg(heartbeat)
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("agent.py has a pipe")?;
        let said = BufReader::new(stdout).lines();
        Ok(Self { child, said, tenant, device, heartbeat, now_ms: 0 })
    }

    async fn wait_until_reported(&mut self) -> Result<()> {
        let line = tokio::time::timeout(PROGRAM_LIMIT, self.said.next_line()).await??;
        let line = line.context("agent.py ended before it had reported")?;
        let said: Value = serde_json::from_str(&line)?;
        // It has read in its creds file who it is.
        assert_eq!(said["tenant"], json!(self.tenant));
        assert_eq!(said["device"], json!(self.device));
        self.now_ms = said["now_ms"].as_i64().context("agent.py says when")?;
        Ok(())
    }

    async fn wait_for_end(&mut self) -> Result<()> {
        let status = tokio::time::timeout(PROGRAM_LIMIT, self.child.wait()).await??;
        ensure!(status.success(), "agent.py for {}: {status}", self.heartbeat);
        Ok(())
    }
}

/// A command in the words of the first generation.
async fn send_ping(world: &World, agent: &Agent) -> Result<()> {
    let operator = world.operator().await?;
    let subject = format!("tenant.{}.device.{}.command", agent.tenant, agent.device);
    let command = json!({ "command": "ping", "command_id": "p-1", "parameters": {} });
    operator.publish(subject, command.to_string().into()).await?;
    operator.flush().await?;
    Ok(())
}

async fn web_app(python: &Path, world: &World, device: DeviceId) -> Result<Value> {
    let reading = script(python, "web_app.py")
        .args([&device.to_string(), CHART_POINTS])
        .envs(world.environment())
        .output();
    let output = tokio::time::timeout(PROGRAM_LIMIT, reading).await??;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "web_app.py: {}\n{problem}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(directory().join(name)).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn directory() -> PathBuf {
    repository().join("tests/first-generation")
}

/// A Python with the packages that the two programs import.
async fn python() -> Result<PathBuf> {
    let install = || devstack::tools::python_with(&directory().join("requirements.txt"));
    tokio::task::spawn_blocking(install).await?
}
