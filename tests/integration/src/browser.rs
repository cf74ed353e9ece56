//! The page in a real browser: what a person sees of a device with a real agent, and does.
//!
//! The browser's side is `crates/web/page/test/browser/story.mjs`.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use protocol::{DeviceId, UnixMillis};
use secrecy::SecretString;
use storage::{ApiRole, ApiToken, NewApiToken, ProgramRole, Scope};
use uuid::Uuid;

use crate::world::{Process, World, address, now_ms};

/// What a device may be called, and must not do.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

#[tokio::test]
async fn a_person_sees_and_steers_a_device_in_a_browser() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[("WEGWEISER_OFFLINE_MISSED_HEARTBEATS", "3")])?;
    let tenant = world.tenants[0];
    world.records()?.ensure_tenant(tenant, HOSTILE).await?;
    let device = DeviceId::new(Uuid::now_v7());
    add(&world, device).await?;
    let trusted = world.command_keys()?;
    let trusted: Vec<String> = trusted.iter().map(ToString::to_string).collect();
    std::fs::write(world.path("command-keys"), format!("{}\n", trusted.join("\n")))?;
    let _agent = agent(&world)?;
    let web = web(&world).await?;
    let sender = world.device(0).await?;
    sender.publish(&sender.subject("monitoring"), HOSTILE).await?;

    let token = token(&world).await?;
    let address = address(&web, ": listening").await?;
    let port = address.rsplit(':').next().context("a port")?;
    let story = story(&[
        ("BASE", &format!("http://localhost:{port}")),
        ("TOKEN", token.expose()),
        ("DEVICE", &device.to_string()),
    ])?;
    let output = story.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "the browser's story ended early:\n{said}");
    ensure!(said.lines().any(|line| line == "THE END"), "{said}");
    Ok(())
}

async fn add(world: &World, device: DeviceId) -> Result<()> {
    let (tenant, device) = (world.tenants[0].to_string(), device.to_string());
    let creds = world.path("agent.creds").display().to_string();
    let (code, said) = world
        .wegweiser(&[
            "device",
            "add",
            "--tenant",
            &tenant,
            "--device",
            &device,
            "--name",
            HOSTILE,
            "--creds-out",
            &creds,
        ])
        .await?;
    ensure!(code == 0, "{said}");
    Ok(())
}

fn agent(world: &World) -> Result<Process> {
    let place = |name: &str| world.path(name).display().to_string();
    let environment = [
        ("NATS_URL", world.nats.url().to_owned()),
        ("NATS_CREDS", place("agent.creds")),
        ("WEGWEISER_AGENT_SPOOL_DIR", place("spool")),
        ("WEGWEISER_AGENT_STATUS_FILE", place("status.json")),
        ("WEGWEISER_AGENT_COMMANDS_DIR", place("commands")),
        ("WEGWEISER_AGENT_COMMAND_KEYS", place("command-keys")),
        ("WEGWEISER_HEARTBEAT_INTERVAL_MS", "1000".to_owned()),
    ];
    let environment: Vec<_> =
        environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Process::start("wegweiser-agent", &environment, &world.path(""))
}

/// The web service, signed in as itself at the broker and at Postgres, with the keys for commands.
async fn web(world: &World) -> Result<Process> {
    let name = format!("web_{}", Uuid::now_v7().simple());
    let password = SecretString::from("story");
    world.records()?.set_sign_in(&name, ProgramRole::Web, &password).await?;
    let database = world.database.clone();
    let keys = world.path("keys/commands").display().to_string();
    let settings = [("WEGWEISER_ISSUING_KEYS", ""), ("WEGWEISER_COMMAND_KEYS", &keys)];
    world.web_with(devstack::DatabaseAddress { user: name, password, ..database }, &settings)
}

async fn token(world: &World) -> Result<ApiToken> {
    let token = ApiToken::generate();
    let wanted = NewApiToken {
        name: "a person",
        scope: Scope::Tenant(world.tenants[0]),
        role: ApiRole::Admin,
        expires_at: UnixMillis::new(now_ms() + 3_600_000),
        who: "story",
    };
    world.records()?.create_api_token(&token, wanted).await?;
    Ok(token)
}

/// The browser's side, with the page and what it is tested with installed and built.
fn story(environment: &[(&str, &str)]) -> Result<tokio::process::Child> {
    devstack::page::build()?;
    let page = devstack::page::page_dir()?;
    let chromium = devstack::tools::chromium()?;
    let script = page.join("test/browser/story.mjs");
    let mut command = tokio::process::Command::from(devstack::page::install()?.script(&script));
    command
        .current_dir(&page)
        .envs(environment.iter().copied())
        .envs(chromium.environment)
        .env("CHROMIUM", chromium.program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command.spawn()?)
}
