//! A server with the real streams, a device's credentials and the agent as a process.
//!
//! One plain account stands in for operator mode: the server puts the tenant in front of metric
//! subjects, as a tenant's account does, and asks for no credentials.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use broker::streams::{self, Desired, Destructive};
use broker::{Broker, BrokerSettings, BrokerTls, Delivery, Pull};
use devstack::Nats;
use identity::{AccountName, Credentials, DeviceRole, KeyDir, issue_device};
use protocol::{Event, UnixMillis, decode};

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const DEVICE: &str = "22222222-2222-4222-8222-222222222222";
/// Bound on everything that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) fn server() -> Nats {
    let config = format!(
        "jetstream {{ max_file_store: 64GB }}\n\
         mappings: {{ \"demo.system.*.*\": \
         \"tenant.{TENANT}.demo.system.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}\" }}"
    );
    Nats::builder().config(config).start().unwrap()
}

/// An operator's connection.
pub(crate) struct Operator(pub(crate) Broker);

impl Operator {
    pub(crate) async fn connect(nats: &Nats) -> Self {
        let settings = BrokerSettings {
            url: nats.url().to_owned(),
            creds: None,
            tls: BrokerTls::default(),
            name: "agent test".to_owned(),
        };
        Self(Broker::connect(&settings).await.unwrap())
    }

    pub(crate) async fn apply_streams(&self) {
        streams::apply(&self.0, &declared(), Destructive::Refuse).await.unwrap();
    }

    /// Messages that all streams hold together.
    pub(crate) async fn held(&self) -> u64 {
        let status = streams::status(&self.0, &declared()).await.unwrap();
        status.streams.iter().map(|stream| stream.messages).sum()
    }

    pub(crate) async fn pull(&self, stream: &str, consumer: &str) -> Events {
        Events { pull: Pull::open(&self.0, stream, consumer, 100).await.unwrap(), seen: Vec::new() }
    }
}

fn declared() -> Desired {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nats/streams");
    streams::load(&dir, None).unwrap()
}

/// What a receiver gets.
pub(crate) struct Events {
    pull: Pull,
    seen: Vec<(Delivery, Event)>,
}

impl Events {
    /// Everything delivered until `enough`, which every receiver must be able to decode.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        enough: impl Fn(&[(Delivery, Event)]) -> bool,
    ) -> &[(Delivery, Event)] {
        let start = Instant::now();
        while !enough(&self.seen) {
            let deliveries = tokio::time::timeout(DEADLINE, self.pull.next()).await;
            let deliveries = deliveries.unwrap_or_else(|_| panic!("nothing came: {what}"));
            for delivery in deliveries.unwrap().unwrap() {
                let subject = delivery.device_subject().unwrap();
                let (event, _) = decode(&subject, delivery.payload(), UnixMillis::now()).unwrap();
                self.seen.push((delivery, event));
            }
            assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        }
        &self.seen
    }
}

/// Credentials of the device, in a directory that lives as long as this.
pub(crate) struct Creds {
    _dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
    /// The machine's, such as its clock.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Creds {
    pub(crate) fn issue() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keys = KeyDir::open_or_create(&dir.path().join("keys")).unwrap();
        let tenant = TENANT.parse().unwrap();
        let account = AccountName::Tenant(tenant);
        keys.ensure_operator().unwrap();
        keys.ensure_account(account).unwrap();
        keys.ensure_role(account, DeviceRole::Current.name()).unwrap();
        let device = DEVICE.parse().unwrap();
        let made = issue_device(&keys, tenant, device, DeviceRole::Current, None).unwrap();
        let path = dir.path().join("device.creds");
        made.save(&path).unwrap();
        Self { _dir: dir, path, variables: Vec::new() }
    }

    /// These, in a file of that name.
    pub(crate) fn keep(credentials: &Credentials) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.creds");
        credentials.save(&path).unwrap();
        Self { _dir: dir, path, variables: Vec::new() }
    }

    /// Puts others in their place.
    pub(crate) fn replace(&self, credentials: &Credentials) {
        let new = self.path.with_extension("new");
        credentials.save(&new).unwrap();
        std::fs::rename(new, &self.path).unwrap();
    }

    fn status_file(&self) -> PathBuf {
        self.path.with_file_name("status.json")
    }

    /// What `wegweiser-agent status` says, and its exit code.
    pub(crate) fn status(&self) -> (i32, serde_json::Value) {
        let mut command = program();
        command.args(["status", "--output", "json"]);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output =
            command.env("WEGWEISER_AGENT_STATUS_FILE", self.status_file()).output().unwrap();
        let said = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
        (output.status.code().unwrap(), said)
    }

    /// Waits until the status names this trouble.
    pub(crate) fn until_trouble(&self, words: &str) {
        self.until_status(words, |code, said| {
            let mut troubles = said["agent"]["troubles"].as_array().into_iter().flatten();
            let named = troubles.any(|one| one["what"].as_str().unwrap().contains(words));
            code == 2 && said["state"] == "troubled" && named
        });
    }

    /// Waits until nothing is wrong.
    pub(crate) fn until_healthy(&self) {
        self.until_status("healthy", |code, said| {
            code == 0 && said["agent"]["status"]["connected"] == true
        });
    }

    pub(crate) fn until_status(&self, what: &str, is: impl Fn(i32, &serde_json::Value) -> bool) {
        let start = Instant::now();
        loop {
            let (code, said) = self.status();
            if is(code, &said) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "never {what}; in the end {code}: {said:#}");
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// The agent's program with nothing of our own environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wegweiser-agent"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Waits for what has to become true.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Agent {
    pub(crate) fn start(url: &str, creds: &Creds) -> Self {
        Self::start_with(url, creds, &[])
    }

    pub(crate) fn start_with(url: &str, creds: &Creds, variables: &[(&str, &str)]) -> Self {
        let mut command = program();
        command
            .env("NATS_URL", url)
            .env("NATS_CREDS", &creds.path)
            .env("WEGWEISER_AGENT_SPOOL_DIR", creds.path.with_file_name("spool"))
            .env("WEGWEISER_TENANT", TENANT)
            .env("WEGWEISER_LOG_FORMAT", "json")
            .env("WEGWEISER_AGENT_STATUS_FILE", creds.status_file())
            .env("WEGWEISER_RECONNECT_SPREAD_MS", "500")
            .env("WEGWEISER_METRICS_INTERVAL_MS", "250")
            .env("WEGWEISER_HEARTBEAT_INTERVAL_MS", "1000")
            .envs(creds.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied());
        Self::start_command(command)
    }

    /// With this configuration file, and its status beside it.
    pub(crate) fn start_configured(config: &Path) -> Self {
        let mut command = program();
        command.env("WEGWEISER_AGENT_STATUS_FILE", config.with_file_name("status.json"));
        command.args(["run", "--config"]).arg(config);
        Self::start_command(command)
    }

    fn start_command(mut command: Command) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        command.stderr(log.reopen().unwrap());
        Self { child: command.spawn().unwrap(), log }
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    pub(crate) fn until_logged(&self, words: &str) {
        until(&format!("logged {words:?}"), || self.logged().contains(words));
    }

    /// At once, as when the power of a container goes.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Asks it to stop, as a service manager does; its last words are returned.
    pub(crate) fn terminate_and_tell(mut self) -> (ExitStatus, serde_json::Value) {
        let status = self.stop();
        let log = self.logged();
        // The connection may still log its own end after it.
        let mut lines = log.lines().rev().map(|line| serde_json::from_str(line).unwrap());
        let last = |line: &serde_json::Value| {
            line["message"].as_str().is_some_and(|message| message.starts_with("stopped"))
        };
        (status, lines.find(last).unwrap())
    }

    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.stop()
    }

    fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the agent does not stop");
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            devstack::output::note(&format!("the agent said:\n{}", self.logged()));
        }
    }
}
