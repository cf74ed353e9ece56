//! `make demo`: the whole of Wegweiser on this machine, with live data.
//!
//! Promises: one line a component with its address; Ctrl-C stops everything that was started and
//! nothing else; with a time limit it ends by itself and says whether what every device sent was
//! read back from Redis and Postgres. Refuses to: pretend. The agents report this machine, and the
//! simulated devices go the same way with credentials of their own.

pub mod outage;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::local::BrokerFiles;
use crate::programs::{self, Environment, Places};
use crate::provision::{self, TENANTS};
use crate::service::{Service, stop_all};
use crate::{LocalStack, RedisUser, output, ready, tools};

const RECEIVERS: usize = 2;
/// Devices of the two real agents, in the first two tenants.
const AGENTS: [&str; 2] =
    ["0192f000-0000-7000-8000-0000000000a1", "0192f000-0000-7000-8000-0000000000a2"];
const SIMULATED_DEVICES: usize = 200;
const WEB_PORT: u16 = 8080;
/// How long what was sent may take to be readable at the end.
const ARRIVE_WITHIN_SECONDS: u64 = 20;
/// How often the parts are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How the demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody stopped it.
    Asked,
    /// Its time was over, and everything had arrived.
    Complete,
    /// Its time was over and something was missing.
    Failed,
}

/// Runs the demo until Ctrl-C, or for `limit`.
///
/// # Errors
/// When a part cannot be started or stopped.
#[tokio::main(flavor = "current_thread")]
pub async fn run(stack: &Path, limit: Option<Duration>) -> Result<Ended> {
    // Armed first: a signal during the start is then heeded after it.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut demo = Demo::start(stack)?;
    let mut status = demo.status_line()?;
    let over = tokio::time::sleep(limit.unwrap_or(Duration::MAX));
    tokio::pin!(over);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let ended = loop {
        tokio::select! {
            _ = terminate.recv() => break Ended::Asked,
            _ = interrupt.recv() => break Ended::Asked,
            () = &mut over => break demo.check()?,
            _ = looks.tick() => demo.tell_who_left(),
        }
    };
    end(&mut status)?;
    output::line("\nstopping");
    demo.stop()?;
    output::line("stopped");
    Ok(ended)
}

/// The broker's configuration and the operator's credentials, made if they are missing.
///
/// # Errors
/// When they cannot be made.
pub fn broker_files(stack: &Path) -> Result<BrokerFiles> {
    let places = provision::prepare(stack)?;
    Ok(BrokerFiles {
        nats_creds: Some(places.creds_of("operator")),
        nats_config: Some(places.nats_config),
    })
}

struct Demo {
    servers: LocalStack,
    places: Places,
    started_ms: u128,
    dir: PathBuf,
    /// In the order of their start.
    services: Vec<Service>,
    senders: Vec<Service>,
    /// Names of parts that have ended unasked.
    left: BTreeSet<String>,
}

impl Demo {
    fn start(stack: &Path) -> Result<Self> {
        for tool in tools::of_local_stack()? {
            output::line(&tool.to_string());
        }
        let places = provision::prepare(stack)?;
        let config = std::fs::read_to_string(&places.nats_config)
            .with_context(|| format!("reading {}", places.nats_config.display()))?;
        let operator = places.creds_of("operator");
        let servers =
            LocalStack::builder(stack).nats_config(config).nats_creds(operator).start()?;
        let dir = stack.join("demo");
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let started_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        let mut demo = Self {
            servers,
            places,
            started_ms,
            dir,
            services: Vec::new(),
            senders: Vec::new(),
            left: BTreeSet::new(),
        };
        demo.announce_servers();
        provision::apply(&demo.servers, &demo.places)?;
        output::line("applied     migrations, accounts, streams");
        demo.start_services()?;
        demo.start_senders()?;
        output::line("stop it     Ctrl-C");
        Ok(demo)
    }

    fn announce_servers(&self) {
        let LocalStack { nats, redis, postgres, .. } = &self.servers;
        output::line(&format!("nats        {}", nats.url()));
        output::line(&format!("redis       {}:{}", redis.host(), redis.port()));
        output::line(&format!("postgres    127.0.0.1:{}", postgres.port()));
    }

    fn start_services(&mut self) -> Result<()> {
        for number in 1..=RECEIVERS {
            self.start_receiver(number)?;
        }
        let port = if ready::is_free(WEB_PORT) { WEB_PORT } else { ready::free_port()? };
        let (url, tls) = (format!("https://localhost:{port}"), self.servers.tls().clone());
        let settings = vec![
            ("WEGWEISER_ISSUING_KEYS", self.places.issuing.display().to_string()),
            ("WEGWEISER_COMMAND_KEYS", self.places.keys.join("commands").display().to_string()),
            ("WEGWEISER_STREAMS_DIR", streams_dir()?),
            ("WEGWEISER_WEB_LISTEN", format!("127.0.0.1:{port}")),
            ("WEGWEISER_WEB_TLS_CERT", tls.certificate.display().to_string()),
            ("WEGWEISER_WEB_TLS_KEY", tls.key.display().to_string()),
        ];
        let pid = self.service("web", "web", settings, (port, Some(&tls.ca)))?;
        self.servers.publish_web(&url)?;
        output::line(&format!("web         {url}  process {pid}"));
        self.tell_how_to_sign_in(&url);
        Ok(())
    }

    /// A link is for people alone: what goes into a file stays there.
    fn tell_how_to_sign_in(&self, url: &str) {
        if !std::io::stdout().is_terminal() {
            output::line("sign in     by the link that `wegweiser user link` prints");
            return;
        }
        let operator = provision::operator_environment(&self.servers, &self.places);
        match programs::run("wegweiser", &["user", "link", "--url", url], &operator) {
            Ok(link) => output::line(&format!("sign in     {link}  (once, within 15 minutes)")),
            // An earlier demo let somebody in.
            Err(_) => output::line("sign in     as before; `wegweiser user list` shows who can"),
        }
    }

    fn start_receiver(&mut self, number: usize) -> Result<()> {
        let name = format!("receiver-{number}");
        let port = ready::free_port()?;
        let listen = vec![("WEGWEISER_RECEIVER_LISTEN", format!("127.0.0.1:{port}"))];
        let pid = self.service(&name, "receiver", listen, (port, None))?;
        output::line(&format!("{name}  http://127.0.0.1:{port}/readyz  process {pid}"));
        Ok(())
    }

    /// Starts a service of the backend, waits until it is ready at `door` (its port, and the
    /// authority of its certificate), and returns its process id.
    fn service(
        &mut self,
        name: &str,
        role: &str,
        settings: Environment,
        door: (u16, Option<&Path>),
    ) -> Result<u32> {
        let mut environment = programs::reaching(&self.servers, &self.places.creds_of(role));
        environment.extend(self.places.database_sign_in(&self.servers, role));
        let redis_user = if role == "web" { RedisUser::Web } else { RedisUser::Receiver };
        environment.extend(self.places.redis_sign_in(redis_user));
        environment.extend(settings);
        let program = format!("wegweiser-{role}");
        let service = Service::start(name, &program, Vec::new(), environment, &self.dir)?;
        let (port, ca) = door;
        service.wait_ready(port, ca)?;
        let pid = service.pid();
        self.services.push(service);
        Ok(pid)
    }

    fn start_senders(&mut self) -> Result<()> {
        let operator = provision::operator_environment(&self.servers, &self.places);
        for (number, (device, (tenant, name))) in AGENTS.iter().zip(TENANTS).enumerate() {
            let creds = self.places.creds_of(&format!("agent-{device}"));
            if !creds.exists() {
                let creds = creds.display().to_string();
                let args = [
                    "device",
                    "add",
                    "--tenant",
                    tenant,
                    "--device",
                    device,
                    "--creds-out",
                    &creds,
                ];
                programs::run("wegweiser", &args, &operator)?;
            }
            let agent = format!("agent-{}", number + 1);
            let status = self.dir.join(format!("{agent}-status.json"));
            let mut environment = vec![
                ("NATS_URL", self.servers.nats.url().to_owned()),
                ("NATS_CREDS", creds.display().to_string()),
                ("WEGWEISER_NATS_CA", self.servers.tls().ca.display().to_string()),
                ("WEGWEISER_AGENT_STATUS_FILE", status.display().to_string()),
            ];
            let spool = self.dir.join(format!("{agent}-spool")).display().to_string();
            environment.push(("WEGWEISER_AGENT_SPOOL_DIR", spool));
            // Each its own: their credentials lie side by side.
            let commands = self.dir.join(format!("{agent}-commands")).display().to_string();
            environment.push(("WEGWEISER_AGENT_COMMANDS_DIR", commands));
            let args = vec!["run".to_owned()];
            let sender = Service::start(&agent, "wegweiser-agent", args, environment, &self.dir)?;
            let pid = sender.pid();
            self.senders.push(sender);
            output::line(&format!("{agent}     device {device} of {name}  process {pid}"));
        }
        self.start_fleet()
    }

    fn start_fleet(&mut self) -> Result<()> {
        let mut args: Vec<String> = vec!["fleet".to_owned()];
        args.extend(["--devices".to_owned(), SIMULATED_DEVICES.to_string()]);
        for (tenant, _) in TENANTS {
            args.extend(["--tenant".to_owned(), tenant.to_owned()]);
        }
        args.extend(["--ledger".to_owned(), self.ledger()]);
        let commands = self.dir.join("fleet-commands").display().to_string();
        args.extend(["--commands".to_owned(), commands]);
        let operator = provision::operator_environment(&self.servers, &self.places);
        let fleet = Service::start("fleet", "wegweiser", args, operator, &self.dir)?;
        self.senders.push(fleet);
        let tenants = TENANTS.len();
        output::line(&format!(
            "fleet       {SIMULATED_DEVICES} simulated devices of {tenants} tenants"
        ));
        Ok(())
    }

    fn ledger(&self) -> String {
        self.dir.join("fleet-ledger.jsonl").display().to_string()
    }

    /// The line that goes on until the end. It dies with this process, however that ends.
    fn status_line(&self) -> Result<Child> {
        let environment = provision::operator_environment(&self.servers, &self.places);
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(programs::path("wegweiser")?)
            .args(["status", "--watch"])
            .envs(environment)
            .env("WEGWEISER_LOG", "off")
            .spawn()
            .context("starting the status line with `setpriv` (Debian: util-linux)")
    }

    /// Names parts that have ended unasked, once. The rest goes on: that is what it is made for.
    fn tell_who_left(&mut self) {
        for service in self.services.iter().chain(&self.senders) {
            if service.has_ended() && self.left.insert(service.name().to_owned()) {
                let log = service.log_path().display();
                output::note(&format!("\n{} has ended; its log is {log}", service.name()));
            }
        }
    }

    /// Reads back what every device has sent.
    fn check(&self) -> Result<Ended> {
        let environment = provision::operator_environment(&self.servers, &self.places);
        let (since, wait) = (self.started_ms.to_string(), ARRIVE_WITHIN_SECONDS.to_string());
        let ledger = self.ledger();
        let mut args = vec!["arrived", "--since", &since, "--wait", &wait, "--ledger", &ledger];
        args.extend(AGENTS);
        match programs::run("wegweiser", &args, &environment) {
            Ok(said) => {
                output::line(&format!("\n{said}"));
                Ok(Ended::Complete)
            }
            Err(error) => {
                output::note(&format!("\n{error:#}"));
                Ok(Ended::Failed)
            }
        }
    }

    /// First who sends, then who receives, then the servers: nothing is cut off while it works.
    fn stop(&mut self) -> Result<()> {
        stop_all(&mut self.senders)?;
        stop_all(&mut self.services)?;
        self.servers.stop()
    }
}

fn end(child: &mut Child) -> Result<()> {
    child.kill().context("ending the status line")?;
    child.wait().context("ending the status line")?;
    Ok(())
}

/// The stream files that were applied, wherever the web service runs: it compares the broker to them.
fn streams_dir() -> Result<String> {
    let named = std::env::var_os("WEGWEISER_STREAMS_DIR");
    let directory = named.map_or_else(|| PathBuf::from("nats/streams"), PathBuf::from);
    let directory = std::path::absolute(directory).context("finding the stream files")?;
    Ok(directory.display().to_string())
}
