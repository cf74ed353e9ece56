//! The service as a child process, and what it reads from.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use devstack::{DatabaseAddress, Nats, Postgres, Redis};
use protocol::{Heartbeat, MetricPoint, UnixMillis};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use storage::{
    ApiRole, ApiToken, NewApiToken, PostgresSettings, ProgramRole, Records, RedisSettings, Rings,
    Scope,
};

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const DEVICE: &str = "22222222-2222-4222-8222-222222222222";
const DEADLINE: Duration = Duration::from_secs(30);

/// What the service reads from.
pub(crate) struct Servers {
    pub(crate) nats: Nats,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    /// How the service signs in at Postgres.
    pub(crate) database: DatabaseAddress,
    /// What the tests ask with; of no worth before there are tables.
    pub(crate) admin: ApiToken,
}

impl Servers {
    pub(crate) fn start() -> Self {
        let postgres = Postgres::builder().fsync(false).start().unwrap();
        Self {
            nats: Nats::builder().config("jetstream { max_file_store: 64GB }").start().unwrap(),
            redis: Redis::builder().start().unwrap(),
            database: postgres.address(),
            postgres,
            admin: ApiToken::generate(),
        }
    }

    /// With tables, a sign-in of the service's own, and a token for everything.
    pub(crate) async fn with_tables() -> Self {
        let mut servers = Self::start();
        let records = servers.records();
        records.migrate().await.unwrap();
        let password = SecretString::from("web");
        records.set_sign_in("weg_web", ProgramRole::Web, &password).await.unwrap();
        servers.database =
            DatabaseAddress { user: "weg_web".to_owned(), password, ..servers.database };
        let admin = NewApiToken { role: ApiRole::Admin, ..token("admin") };
        records.create_api_token(&servers.admin, admin).await.unwrap();
        servers
    }

    /// What the service is told of them, and to listen anywhere.
    pub(crate) fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("WEGWEISER_WEB_LISTEN", "127.0.0.1:0".to_owned()),
            ("NATS_URL", self.nats.url().to_owned()),
            ("METRICS_REDIS_HOST", self.redis.host().to_owned()),
            ("METRICS_REDIS_PORT", self.redis.port().to_string()),
            ("DATABASE_URL", self.database.url().expose_secret().to_owned()),
        ]
    }

    pub(crate) fn rings(&self) -> Rings {
        Rings::open(&RedisSettings {
            host: self.redis.host().to_owned(),
            port: self.redis.port(),
            database: 3,
            prefix: "wegweiser:metrics".to_owned(),
            max_points: 300,
            ttl: Duration::from_secs(900),
            username: None,
            password: None,
            tls: false,
            ca: None,
        })
        .unwrap()
    }

    pub(crate) fn records(&self) -> Records {
        Records::open(&PostgresSettings {
            url: self.postgres.address().url(),
            password: None,
            ca: None,
            pool_connections: 2,
            statement_timeout: Duration::from_secs(15),
        })
        .unwrap()
    }
}

/// The running service; killed when dropped.
pub(crate) struct Web {
    child: Child,
    pub(crate) url: String,
    client: Client,
    admin: ApiToken,
    /// Lines of its standard output and its log.
    said: mpsc::Receiver<String>,
}

impl Web {
    pub(crate) fn start(servers: &Servers) -> Self {
        Self::start_with(servers, &[])
    }

    /// With settings beside those of the servers.
    pub(crate) fn start_with(servers: &Servers, settings: &[(&str, &str)]) -> Self {
        let mut child = command()
            .env("WEGWEISER_LOG_FORMAT", "json")
            .envs(servers.variables())
            // Tests ask faster than people and programs do.
            .env("WEGWEISER_WEB_CALLER_REQUESTS_PER_SECOND", "100000")
            .env("WEGWEISER_WEB_ADDRESS_REQUESTS_PER_SECOND", "100000")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line: Value = serde_json::from_str(&log.next().unwrap().unwrap()).unwrap();
            if line["message"] == "listening" {
                let scheme = if line["tls"] == true { "https" } else { "http" };
                break format!("{scheme}://{}", line["address"].as_str().unwrap());
            }
        };
        let (lines, said) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let logged = lines.clone();
        // A full pipe would stop the service; nobody may be left to read.
        std::thread::spawn(move || {
            log.map_while(Result::ok).for_each(|line| drop(logged.send(line)));
        });
        std::thread::spawn(move || {
            output.map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        Self { child, url, client: Client::new(), admin: servers.admin.clone(), said }
    }

    /// All that it printed and logged since it listens, up to the line with these words.
    pub(crate) fn said_until(&self, words: &str) -> String {
        let mut said = String::new();
        while !said.contains(words) {
            said += &self.said.recv_timeout(DEADLINE).unwrap();
            said.push('\n');
        }
        said
    }

    /// Asks with a token for everything.
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path, Some(&self.admin)).send().await.unwrap()
    }

    pub(crate) fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&ApiToken>,
    ) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    pub(crate) async fn json(&self, path: &str) -> (StatusCode, Value) {
        let response = self.get(path).await;
        (response.status(), response.json().await.unwrap())
    }

    /// Asks `/readyz` until `part` is as wanted; its last state is in the panic.
    pub(crate) async fn until_part(&self, part: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (_, parts) = self.json("/readyz").await;
            let state = parts[part].as_str().unwrap();
            if wanted(state) {
                return;
            }
            assert!(Instant::now() < deadline, "{part} stays {state:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal such as `-HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// SIGTERM, then the exit status.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        self.signal("-TERM");
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the service does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with nothing of this process's environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wegweiser-web"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A viewer's token of every tenant, good for an hour.
pub(crate) fn token(name: &str) -> NewApiToken<'_> {
    NewApiToken {
        name,
        scope: Scope::AllTenants,
        role: ApiRole::Viewer,
        expires_at: UnixMillis::new(UnixMillis::now().get() + 3_600_000),
        who: "test",
    }
}

pub(crate) fn point(device: &str, at: i64, value: f64) -> MetricPoint {
    MetricPoint {
        tenant: TENANT.parse().unwrap(),
        device: device.parse().unwrap(),
        metric: "cpu_percent".parse().unwrap(),
        at: UnixMillis::new(at),
        value,
    }
}

pub(crate) fn heartbeat(tenant: &str, device: &str, at: i64) -> Heartbeat {
    Heartbeat {
        tenant: tenant.parse().unwrap(),
        device: device.parse().unwrap(),
        at: UnixMillis::new(at),
        session: None,
        agent_version: Some("1.4.0".into()),
        interval_ms: None,
        labels: protocol::Labels::default(),
        details: "{}".into(),
    }
}
