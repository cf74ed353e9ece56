//! The servers of a story, and the binary told where they are.

#![expect(clippy::unwrap_used, reason = "clippy allows it in the test functions, not in helpers")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use devstack::{Nats, Postgres, Redis, tls};
use protocol::{Heartbeat, MetricPoint, UnixMillis};
use secrecy::ExposeSecret as _;
use storage::{OfflineRule, PostgresSettings, Records, RedisSettings, Rings};

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const OTHER_TENANT: &str = "33333333-3333-4333-8333-333333333333";
pub(crate) const DEVICE: &str = "22222222-2222-4222-8222-222222222222";
pub(crate) const RULE: OfflineRule =
    OfflineRule { silence: Duration::from_secs(120), missed_heartbeats: 3 };
/// A port that nobody listens on.
const NOBODY: &str = "1";

/// A directory for one installation and the addresses of its servers.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Place {
    /// An empty place, with no server to be reached.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Self { dir, environment: Vec::new() };
        let keys = place.path("keys").display().to_string();
        let tenants = place.path("tenants");
        std::fs::create_dir(&tenants).unwrap();
        place.set("WEGWEISER_KEYS_DIR", keys);
        place.set("WEGWEISER_TENANTS_DIR", tenants.display().to_string());
        place.set("WEGWEISER_ACCOUNTS_DIR", repository().join("nats/accounts").display());
        place.set("WEGWEISER_STREAMS_DIR", repository().join("nats/streams").display());
        place.set("NATS_URL", format!("nats://127.0.0.1:{NOBODY}"));
        place.set("METRICS_REDIS_HOST", "127.0.0.1");
        place.set("METRICS_REDIS_PORT", NOBODY);
        place.set("DATABASE_URL", format!("postgresql://nobody@127.0.0.1:{NOBODY}/none"));
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl ToString) {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.to_string()));
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn declare_tenant(&self, tenant: &str) {
        let text = format!(r#"{{"tenant": "{tenant}", "name": "Tenant {tenant}"}}"#);
        std::fs::write(self.path("tenants").join(format!("{tenant}.json")), text).unwrap();
    }

    /// Starts a broker as `accounts bootstrap` says, and connects as operator from now on.
    pub(crate) fn start_nats(&mut self) -> Nats {
        let files = tls::files_in(&self.path("tls")).unwrap();
        let config = self.path("nats.conf");
        let creds = self.path("creds");
        let said = self.wegweiser(&[
            "accounts",
            "bootstrap",
            "--creds-dir",
            text(&creds),
            "--server-config",
            text(&config),
            "--resolver-dir",
            text(&self.path("resolver")),
            // Said, so that a small disk does not refuse what the streams may grow to one day.
            "--max-file-store",
            "64000000000",
            "--tls-cert",
            text(&files.certificate),
            "--tls-key",
            text(&files.key),
        ]);
        assert!(said.status.success(), "{}", stderr(&said));
        let config = std::fs::read_to_string(config).unwrap();
        let nats = Nats::builder().config(config).start().unwrap();
        self.set("NATS_URL", nats.url());
        self.set("WEGWEISER_NATS_CA", files.ca.display());
        self.set("NATS_CREDS", creds.join("operator.creds").display());
        nats
    }

    pub(crate) fn start_redis(&mut self) -> Redis {
        let redis = Redis::builder().start().unwrap();
        self.set("METRICS_REDIS_PORT", redis.port());
        redis
    }

    pub(crate) fn start_postgres(&mut self) -> Postgres {
        let postgres = Postgres::builder().fsync(false).start().unwrap();
        self.set("DATABASE_URL", postgres.address().url().expose_secret());
        postgres
    }

    /// Runs the binary with nothing of this process's environment.
    pub(crate) fn wegweiser(&self, arguments: &[&str]) -> Output {
        self.program("wegweiser").args(arguments).output().unwrap()
    }

    /// One of our programs, told where the servers are and nothing else.
    pub(crate) fn program(&self, name: &str) -> Command {
        let path = Path::new(env!("CARGO_BIN_EXE_wegweiser")).with_file_name(name);
        assert!(path.exists(), "{} is missing; run `make test`", path.display());
        let mut command = Command::new(path);
        command.env_clear().envs(self.environment.iter().cloned()).current_dir(self.dir.path());
        command
    }
}

pub(crate) fn rings(redis: &Redis) -> Rings {
    let settings = RedisSettings {
        host: redis.host().to_owned(),
        port: redis.port(),
        database: 3,
        prefix: "wegweiser:metrics".to_owned(),
        max_points: 300,
        ttl: Duration::from_secs(900),
        username: None,
        password: None,
        tls: false,
        ca: None,
    };
    Rings::open(&settings).unwrap()
}

pub(crate) fn records(postgres: &Postgres) -> Records {
    let settings = PostgresSettings {
        url: postgres.address().url(),
        password: None,
        ca: None,
        pool_connections: 2,
        statement_timeout: Duration::from_secs(15),
    };
    Records::open(&settings).unwrap()
}

pub(crate) fn point(at: i64, value: f64) -> MetricPoint {
    MetricPoint {
        tenant: TENANT.parse().unwrap(),
        device: DEVICE.parse().unwrap(),
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
        session: Some("s1".into()),
        agent_version: Some("1.4.0".into()),
        interval_ms: None,
        labels: protocol::Labels::default(),
        details: "{}".into(),
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
