//! The page in a real browser: what a person sees of a device with a real agent, and does; and every
//! page, in both themes and at two widths.
//!
//! The browser's side is `crates/web/page/test/browser/story.mjs` and `pages.mjs`.

mod pages;
mod script;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use protocol::{DeviceId, TenantId, UnixMillis};
use secrecy::SecretString;
use storage::{ApiRole, ApiToken, NewApiToken, ProgramRole, Scope};
use uuid::Uuid;

use crate::device_commands::program;
use crate::world::{Device, Process, World, address, now_ms};
use script::Script;

/// What a device may be called, and must not do.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";
/// What a program of a device may print: markup, a terminal's codes, a mark that turns the direction
/// of writing, and a line without an end.
const SPEAK: &str = r#"printf '<script>window.hurt=1</script>\n\033[31mred\033[0m\007\n'
printf '\342\200\256txt.exe\n'
head -c 10000 /dev/zero | tr '\0' x; echo
while ! test -e "$(dirname "$0")/gate"; do sleep 0.05; done
echo last words"#;

#[tokio::test]
async fn a_person_sees_and_steers_a_device_in_a_browser() -> Result<()> {
    let world = World::start().await?;
    let _receiver = world.receiver(&[("WEGWEISER_OFFLINE_MISSED_HEARTBEATS", "3")])?;
    let tenant = world.tenants[0];
    let device = DeviceId::new(Uuid::now_v7());
    add(&world, device, HOSTILE, &world.path("agent.creds")).await?;
    world.records()?.ensure_tenant(tenant, HOSTILE).await?;
    let speak = world.path("speak");
    program(&speak, SPEAK)?;
    let allowed = format!("[commands.run.speak]\nprogram = {:?}\n", speak.display().to_string());
    let home = AgentHome::make(&world, "agent.creds", &allowed)?;
    let mut agent = Some(home.start(&world)?);
    let web = web(&world).await?;
    let stranger = world.device(0).await?;
    stranger.publish(&stranger.subject("monitoring"), HOSTILE).await?;
    stranger.publish(&stranger.subject("status.heartbeat"), hostile_heartbeat()).await?;

    let token = token(&world, Scope::Tenant(tenant)).await?;
    let mut script = Script::start(
        "story.mjs",
        &[
            ("BASE", &base(&web).await?),
            ("LINK", &first_link(&world).await?),
            ("TOKEN", token.expose()),
            ("DEVICE", &device.to_string()),
            ("HOSTILE_DEVICE", &stranger.id.to_string()),
            ("PROGRAM", &speak.display().to_string()),
        ],
    )?;
    while let Some(errand) = script.errand().await? {
        match errand.as_str() {
            "stop the agent" => drop(agent.take().context("it runs")?.stop().await?),
            "start the agent" => agent = Some(home.start(&world)?),
            "open the gate" => std::fs::write(world.path("gate"), "")?,
            "change a stream" => change_a_stream(&world).await?,
            typed => run(&world, typed).await?,
        }
        script.done().await?;
    }
    Ok(())
}

/// A heartbeat with everything in it that somebody could be hurt by.
fn hostile_heartbeat() -> String {
    let long = "<script>window.hurt=1</script>\u{202e}".repeat(350);
    serde_json::json!({
        "timestamp": now_ms(),
        "agent_version": "<b>9.9.9</b>",
        "heartbeat_interval_ms": 600_000,
        "labels": {"site": "<i>\u{202e}engoloc</i>", "shelf": "a\u{200b}b"},
        "system_info": {"hostname": long, "os": "<u>os</u>\u{7}"},
    })
    .to_string()
}

/// Does what an operator does with a command of the page: runs it as it stands there.
async fn run(world: &World, typed: &str) -> Result<()> {
    let Some(arguments) = typed.strip_prefix("wegweiser ") else { bail!("unknown: {typed}") };
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let (code, said) = world.wegweiser(&arguments).await?;
    ensure!(code == 0, "{typed}: {said}");
    Ok(())
}

/// Behind the files' back.
async fn change_a_stream(world: &World) -> Result<()> {
    let jetstream = async_nats::jetstream::new(world.operator().await?);
    let mut config = jetstream.get_stream("MONITORING").await?.cached_info().config.clone();
    config.description = Some("changed by hand".to_owned());
    jetstream.update_stream(config).await?;
    Ok(())
}

async fn add(world: &World, device: DeviceId, name: &str, creds: &Path) -> Result<()> {
    let (tenant, device) = (world.tenants[0].to_string(), device.to_string());
    let creds = creds.display().to_string();
    let whose = ["device", "add", "--tenant", &tenant, "--device", &device];
    let what = ["--name", name, "--creds-out", &creds];
    let (code, said) = world.wegweiser(&[&whose[..], &what[..]].concat()).await?;
    ensure!(code == 0, "{said}");
    Ok(())
}

/// A device that was added, with a plain client and its own credentials.
async fn plainly(world: &World, id: DeviceId, creds: &Path) -> Result<Device> {
    let credentials = identity::Credentials::load(creds)?;
    Ok(Device { tenant: world.tenants[0], id, nats: world.connect(&credentials).await? })
}

/// Where a real agent lives.
struct AgentHome {
    creds: PathBuf,
    config: PathBuf,
}

impl AgentHome {
    /// With credentials that are there, and more lines for its configuration.
    fn make(world: &World, creds: &str, configuration: &str) -> Result<Self> {
        let trusted = world.command_keys()?;
        let trusted: Vec<String> = trusted.iter().map(ToString::to_string).collect();
        std::fs::write(world.path("command-keys"), format!("{}\n", trusted.join("\n")))?;
        let config = world.path("agent.toml");
        std::fs::write(&config, configuration)?;
        Ok(Self { creds: world.path(creds), config })
    }

    fn start(&self, world: &World) -> Result<Process> {
        let place = |name: &str| world.path(name).display().to_string();
        let environment = [
            ("NATS_URL", world.nats.url().to_owned()),
            ("NATS_CREDS", self.creds.display().to_string()),
            ("WEGWEISER_AGENT_CONFIG", self.config.display().to_string()),
            ("WEGWEISER_AGENT_SPOOL_DIR", place("spool")),
            ("WEGWEISER_AGENT_STATUS_FILE", place("status.json")),
            ("WEGWEISER_AGENT_COMMANDS_DIR", place("commands")),
            ("WEGWEISER_AGENT_COMMAND_KEYS", place("command-keys")),
            ("WEGWEISER_HEARTBEAT_INTERVAL_MS", "1000".to_owned()),
            ("WEGWEISER_RECONNECT_SPREAD_MS", "250".to_owned()),
        ];
        let environment: Vec<_> =
            environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Process::start("wegweiser-agent", &environment, &world.path(""))
    }
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

/// Where a browser finds it. A cookie that is for HTTPS alone is taken from localhost, too.
async fn base(web: &Process) -> Result<String> {
    let address = address(web, ": listening").await?;
    let port = address.rsplit(':').next().context("a port")?;
    Ok(format!("http://localhost:{port}"))
}

/// What the link for the first admin ends with.
async fn first_link(world: &World) -> Result<String> {
    let (code, said) = world.wegweiser(&["user", "link", "--url", "http://localhost"]).await?;
    ensure!(code == 0, "{said}");
    let link = said.lines().find_map(|line| line.split_once("#link="));
    let (_, link) = link.with_context(|| format!("no link in {said}"))?;
    Ok(link.trim().to_owned())
}

async fn token(world: &World, scope: Scope) -> Result<ApiToken> {
    let token = ApiToken::generate();
    let wanted = NewApiToken {
        name: "a person",
        scope,
        role: ApiRole::Admin,
        expires_at: UnixMillis::new(now_ms() + 3_600_000),
        who: "story",
    };
    world.records()?.create_api_token(&token, wanted).await?;
    Ok(token)
}

/// What tenants are called, for people.
async fn name_tenants(world: &World, names: &[(TenantId, &str)]) -> Result<()> {
    let limits = storage::TenantLimits { conn: 1_000, payload: 1_048_576, subs: 64 };
    let named: Vec<storage::AppliedTenant<'_>> = names
        .iter()
        .map(|(tenant, name)| storage::AppliedTenant { tenant: *tenant, name, limits })
        .collect();
    Ok(world.records()?.note_applied_tenants(&named).await?)
}
