//! The servers of a benchmark: a broker in operator mode, Redis and Postgres, as the product uses
//! them, and the receiver as its users run it.
//!
//! Promises: nothing is shared with other stacks on the machine, and all of it ends with the run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::consumer::{FromConsumer as _, pull};
use broker::accounts::{self, AccountServer, Declared, ServerConfigOptions, SyncInterval};
use broker::streams::{self, Destructive};
use broker::{Broker, BrokerSettings, BrokerTls};
use devstack::{Nats, Postgres, Redis, tools};
use identity::{AccountName, Credentials, DeviceRole, KeyDir, issue_device, issue_user};
use protocol::{DeviceId, TenantId};
use secrecy::{ExposeSecret as _, SecretString};
use storage::{PostgresSettings, Records};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::cost::Meter;

/// Tenants over which devices are spread.
const TENANTS: usize = 5;
/// What the local stack's broker takes as well.
const MAX_PAYLOAD_BYTES: u32 = 2 * 1024 * 1024;
const PROGRAM: &str = "wegweiser-receiver";
const OPERATOR_CREDS: &str = "operator.creds";

/// The servers, and who may sign in.
pub(crate) struct World {
    pub(crate) tenants: Vec<TenantId>,
    /// Signed in as the operator, who may do anything in the backend's account.
    pub(crate) operator: Broker,
    /// The same, by the library alone.
    pub(crate) plain: async_nats::Client,
    pub(crate) meter: Meter,
    nats: Nats,
    redis: Redis,
    postgres: Postgres,
    keys: KeyDir,
    dir: TempDir,
    receiver: PathBuf,
}

impl World {
    /// Starts the servers, makes tenants and streams, and migrates the database. `receiver`: the
    /// program to measure, in place of the one beside this one.
    pub(crate) async fn start(receiver: Option<PathBuf>) -> Result<Self> {
        let receiver = match receiver {
            Some(receiver) => receiver,
            None => std::env::current_exe()?.with_file_name(PROGRAM),
        };
        anyhow::ensure!(receiver.exists(), "{} is missing; run `make bench`", receiver.display());
        let dir = tempfile::tempdir().context("making a directory for the servers")?;
        let mut tenants = Vec::new();
        tenants.resize_with(TENANTS, || TenantId::new(Uuid::now_v7()));
        let (nats, keys) = start_broker(dir.path(), &tenants).await?;
        let (redis, postgres) = (Redis::builder().start()?, Postgres::builder().start()?);
        let credentials = issue_user(&keys, AccountName::Backend, "operator", "bench", None)?;
        let creds = dir.path().join(OPERATOR_CREDS);
        credentials.save(&creds)?;
        let operator = connect(nats.url(), creds).await?;
        let plain = connect_plainly(nats.url(), &credentials).await?;
        apply_streams(&operator).await?;
        records(&postgres)?.migrate().await?;
        let meter = Meter::new(vec![
            ("bench", std::process::id()),
            ("nats", nats.pid()),
            ("redis", redis.pid()),
            ("postgres", postgres.pid()),
        ]);
        Ok(Self { tenants, operator, plain, meter, nats, redis, postgres, keys, dir, receiver })
    }

    /// A new device of a tenant with a connection of its own, signed in as its agent is.
    pub(crate) async fn device(&self, tenant: TenantId) -> Result<(DeviceId, Broker)> {
        let device = DeviceId::new(Uuid::now_v7());
        let creds = self.dir.path().join(format!("{device}.creds"));
        issue_device(&self.keys, tenant, device, DeviceRole::Current, None)?.save(&creds)?;
        Ok((device, connect(self.nats.url(), creds).await?))
    }

    /// The receiver, set up by the environment alone and with its own defaults but for `settings`.
    pub(crate) fn receiver(&self, settings: &[(&'static str, String)]) -> Result<Child> {
        let creds = self.dir.path().join(format!("receiver-{}.creds", Uuid::now_v7()));
        issue_user(&self.keys, AccountName::Backend, "receiver", "receiver", None)?.save(&creds)?;
        let log = File::create(self.receiver_log())?;
        Command::new(&self.receiver)
            .env_clear()
            .env("NATS_URL", self.nats.url())
            .env("NATS_CREDS", creds)
            .env("DATABASE_URL", self.postgres.address().url().expose_secret())
            .env("METRICS_REDIS_HOST", self.redis.host())
            .env("METRICS_REDIS_PORT", self.redis.port().to_string())
            .env("WEGWEISER_RECEIVER_LISTEN", "127.0.0.1:0")
            .envs(settings.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.receiver.display()))
    }

    /// A peer of `tests/bench-peers`, yet to be started, with what it needs of the environment.
    pub(crate) fn peer(&self, script: &str, arguments: &[&str]) -> Result<Command> {
        let tests = repository().join("tests");
        let python = tools::python_with(&tests.join("first-generation/requirements.txt"))?;
        let log = File::create(self.peer_log())?;
        let mut command = Command::new(python);
        command
            .arg(tests.join("bench-peers").join(script))
            .args(arguments)
            .env_clear()
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NATS_URL", self.nats.url())
            .env("NATS_CREDS", self.dir.path().join(OPERATOR_CREDS))
            .env("DATABASE_URL", self.postgres.address().url().expose_secret())
            .env("METRICS_REDIS_HOST", self.redis.host())
            .env("METRICS_REDIS_PORT", self.redis.port().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        Ok(command)
    }

    pub(crate) fn peer_log(&self) -> PathBuf {
        self.dir.path().join("peer.log")
    }

    pub(crate) fn receiver_log(&self) -> PathBuf {
        self.dir.path().join("receiver.log")
    }

    pub(crate) const fn redis(&self) -> &Redis {
        &self.redis
    }

    /// A connection to the database by the library alone.
    pub(crate) async fn sql(&self) -> Result<tokio_postgres::Client> {
        let url = self.postgres.address().url();
        let (client, connection) =
            tokio_postgres::connect(url.expose_secret(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Lets a consumer have so many messages under way.
    pub(crate) async fn limit_ack_pending(
        &self,
        stream: &str,
        consumer: &str,
        most: i64,
    ) -> Result<()> {
        let jetstream = async_nats::jetstream::new(self.plain.clone());
        let stream = jetstream.get_stream(stream).await?;
        let mut config = stream.consumer_info(consumer).await?.config;
        config.max_ack_pending = most;
        stream
            .create_consumer(pull::Config::try_from_consumer_config(config).map_err(plain)?)
            .await?;
        Ok(())
    }

    /// Makes streams and consumers what their files say.
    pub(crate) async fn apply_streams(&self) -> Result<()> {
        apply_streams(&self.operator).await
    }

    /// Empties a stream.
    pub(crate) async fn purge(&self, stream: &str) -> Result<()> {
        let jetstream = async_nats::jetstream::new(self.plain.clone());
        jetstream.get_stream(stream).await?.purge().await?;
        Ok(())
    }
}

async fn start_broker(dir: &Path, tenants: &[TenantId]) -> Result<(Nats, KeyDir)> {
    let tenants_dir = dir.join("tenants");
    std::fs::create_dir(&tenants_dir)?;
    for tenant in tenants {
        let file = serde_json::json!({ "tenant": tenant, "name": tenant });
        std::fs::write(tenants_dir.join(format!("{tenant}.json")), file.to_string())?;
    }
    let declared = Declared::load(&repository().join("nats/accounts"), &tenants_dir)?;
    let keys = KeyDir::open_or_create(&dir.join("keys"))?;
    accounts::bootstrap(&keys, &declared)?;
    let options = ServerConfigOptions {
        jetstream_dir: None,
        resolver_dir: dir.join("resolver"),
        sync_interval: SyncInterval::Every(Duration::from_secs(120)),
        max_payload_bytes: MAX_PAYLOAD_BYTES,
        max_file_store_bytes: Some(64 << 30),
        tls: None,
    };
    let config = accounts::server_config(&keys, &options)?;
    let nats = Nats::builder().dir(dir.join("nats")).config(config).start()?;
    let server = AccountServer::open(nats.url(), &BrokerTls::default(), &keys).await?;
    accounts::apply(&server, &declared, &keys, Destructive::Refuse).await?;
    Ok((nats, keys))
}

async fn apply_streams(operator: &Broker) -> Result<()> {
    let desired = streams::load(&repository().join("nats/streams"), None)?;
    streams::apply(operator, &desired, Destructive::Allow).await?;
    Ok(())
}

async fn connect(url: &str, creds: PathBuf) -> Result<Broker> {
    let settings = BrokerSettings {
        url: url.to_owned(),
        creds: Some(creds),
        tls: BrokerTls::default(),
        name: "bench".into(),
    };
    Broker::connect(&settings).await.context("connecting to the broker")
}

async fn connect_plainly(url: &str, credentials: &Credentials) -> Result<async_nats::Client> {
    async_nats::ConnectOptions::with_credentials(credentials.decorated().expose_secret())?
        .custom_inbox_prefix(credentials.inbox_prefix())
        .connect(url)
        .await
        .context("connecting to the broker")
}

fn records(postgres: &Postgres) -> Result<Records> {
    Ok(Records::open(&PostgresSettings {
        url: SecretString::from(postgres.address().url().expose_secret().to_owned()),
        password: None,
        ca: None,
        pool_connections: 1,
        statement_timeout: Duration::from_secs(30),
    })?)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The library's boxed errors implement no `Error` themselves.
pub(crate) fn plain(error: async_nats::Error) -> anyhow::Error {
    anyhow::anyhow!(error)
}
