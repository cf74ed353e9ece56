//! The world of one story: servers, tenants, devices, and the processes that it starts.

mod eventually;
mod letters;
mod page;
mod process;
mod programs;
mod prometheus;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use broker::accounts::{self, AccountServer, Declared, ServerConfigOptions, SyncInterval};
use broker::streams::{self, Destructive};
use broker::{Broker, BrokerSettings, BrokerTls};
use devstack::{DatabaseAddress, Nats, Postgres, Redis};
use identity::{
    AccountName, Credentials, DeviceRole, KeyDir, PublicKey, SecretKey, issue_device, issue_user,
};
use protocol::{DeviceId, MetricType, TenantId};
use secrecy::ExposeSecret as _;
use storage::{PostgresSettings, Records, RedisSettings, Rings};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) use eventually::{SOON, eventually, eventually_within};
pub(crate) use page::{address, ask, get, look, scrape, send_json};
pub(crate) use process::{Process, executable};
pub(crate) use prometheus::{Prometheus, free_port};

/// Longest that a story waits for something that should happen soon.
const MAX_PAYLOAD_BYTES: u32 = 2 * 1024 * 1024;

/// Redis and Postgres of this test run; they end with it.
static REDIS: OnceLock<Redis> = OnceLock::new();
static POSTGRES: OnceLock<Postgres> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// The servers of one story, its tenants, and where its data is.
pub(crate) struct World {
    pub(crate) nats: Nats,
    pub(crate) tenants: Vec<TenantId>,
    pub(crate) redis_port: u16,
    pub(crate) database: DatabaseAddress,
    prefix: String,
    keys: KeyDir,
    dir: TempDir,
}

/// A device as its agent stands at the broker.
pub(crate) struct Device {
    pub(crate) tenant: TenantId,
    pub(crate) id: DeviceId,
    pub(crate) nats: async_nats::Client,
}

impl World {
    /// A broker of its own with two tenants, a database and a ring prefix of its own.
    pub(crate) async fn start() -> Result<Self> {
        let (redis_port, server) = shared()?;
        Self::start_on(redis_port, &server).await
    }

    /// The same on servers of the caller's.
    pub(crate) async fn start_on(redis_port: u16, server: &DatabaseAddress) -> Result<Self> {
        let story = Uuid::now_v7();
        let database = server.clone().with_database(format!("story_{}", story.simple()));
        create_database(&database).await?;
        let dir = tempfile::tempdir()?;
        let tenants = vec![TenantId::new(Uuid::now_v7()), TenantId::new(Uuid::now_v7())];
        let (nats, keys) = start_broker(dir.path(), &tenants).await?;
        let prefix = format!("story:{story}");
        let world = Self { nats, tenants, redis_port, database, prefix, keys, dir };
        world.apply_streams().await?;
        world.records()?.migrate().await?;
        Ok(world)
    }

    async fn apply_streams(&self) -> Result<()> {
        let desired = streams::load(&repository().join("nats/streams"), None)?;
        let operator = self.broker("operator").await?;
        streams::apply(&operator, &desired, Destructive::Refuse).await?;
        Ok(())
    }

    /// Our own client, signed in as a service of the backend.
    pub(crate) async fn broker(&self, role: &str) -> Result<Broker> {
        let settings = BrokerSettings {
            url: self.nats.url().to_owned(),
            creds: Some(self.backend_creds(role)?),
            tls: BrokerTls::default(),
            name: "story".to_owned(),
        };
        Ok(Broker::connect(&settings).await?)
    }

    /// A plain client, signed in as the operator.
    pub(crate) async fn operator(&self) -> Result<async_nats::Client> {
        let credentials = issue_user(&self.keys, AccountName::Backend, "operator", "story", None)?;
        self.connect(&credentials).await
    }

    /// A new device of tenant number `tenant`, with a plain client: none of our code publishes.
    pub(crate) async fn device(&self, tenant: usize) -> Result<Device> {
        self.device_as(tenant, DeviceRole::Current).await
    }

    pub(crate) async fn device_as(&self, tenant: usize, role: DeviceRole) -> Result<Device> {
        let (tenant, id) = (self.tenants[tenant], DeviceId::new(Uuid::now_v7()));
        let credentials = issue_device(&self.keys, tenant, id, role, None)?;
        Ok(Device { tenant, id, nats: self.connect(&credentials).await? })
    }

    /// Credentials of a new device in a file, for a program that is given nothing else.
    pub(crate) fn device_creds(
        &self,
        tenant: usize,
        role: DeviceRole,
    ) -> Result<(DeviceId, PathBuf)> {
        let id = DeviceId::new(Uuid::now_v7());
        let path = self.dir.path().join(format!("{id}.creds"));
        issue_device(&self.keys, self.tenants[tenant], id, role, None)?.save(&path)?;
        Ok((id, path))
    }

    pub(crate) async fn connect(&self, credentials: &Credentials) -> Result<async_nats::Client> {
        async_nats::ConnectOptions::with_credentials(credentials.decorated().expose_secret())?
            .custom_inbox_prefix(credentials.inbox_prefix())
            .connect(self.nats.url())
            .await
            .context("connect to the story's broker")
    }

    fn backend_creds(&self, role: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(format!("{role}-{}.creds", Uuid::now_v7()));
        issue_user(&self.keys, AccountName::Backend, role, role, None)?.save(&path)?;
        Ok(path)
    }

    /// What `wegweiser` answers to an operator: its exit code and standard output; standard error
    /// where there is none.
    pub(crate) async fn wegweiser(&self, arguments: &[&str]) -> Result<(i32, String)> {
        self.wegweiser_told(arguments, &[]).await
    }

    /// The same with variables of the story's own.
    pub(crate) async fn wegweiser_told(
        &self,
        arguments: &[&str],
        more: &[(&str, &str)],
    ) -> Result<(i32, String)> {
        let mut environment = self.environment();
        environment.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let creds = self.backend_creds("operator")?;
        environment.push(("NATS_CREDS".to_owned(), creds.display().to_string()));
        let said = tokio::process::Command::new(process::executable("wegweiser")?)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .output()
            .await?;
        let code = said.status.code().context("it was killed")?;
        let text = if said.stdout.is_empty() { said.stderr } else { said.stdout };
        Ok((code, String::from_utf8_lossy(&text).into_owned()))
    }

    /// The keys that sign commands, newest first.
    pub(crate) fn command_secrets(&self) -> Result<Vec<SecretKey>> {
        Ok(self.keys.command_keys()?)
    }

    /// Their public halves, which devices believe.
    pub(crate) fn command_keys(&self) -> Result<Vec<PublicKey>> {
        Ok(self.command_secrets()?.iter().map(|key| key.public().clone()).collect())
    }

    /// A place in the story's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What every process of the story is told.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let path = |path: &Path| path.display().to_string();
        vec![
            text("NATS_URL", self.nats.url()),
            text("DATABASE_URL", self.database.url().expose_secret()),
            text("METRICS_REDIS_HOST", "127.0.0.1"),
            text("METRICS_REDIS_PORT", &self.redis_port.to_string()),
            text("METRICS_REDIS_PREFIX", &self.prefix),
            text("WEGWEISER_STREAMS_DIR", &path(&repository().join("nats/streams"))),
            text("WEGWEISER_ACCOUNTS_DIR", &path(&repository().join("nats/accounts"))),
            text("WEGWEISER_TENANTS_DIR", &path(&self.path("tenants"))),
            text("WEGWEISER_KEYS_DIR", &path(&self.path("keys"))),
            text("WEGWEISER_ISSUING_KEYS", &path(&self.path("issuing"))),
        ]
    }

    pub(crate) fn rings(&self) -> Result<Rings> {
        Ok(Rings::open(&RedisSettings {
            host: "127.0.0.1".to_owned(),
            port: self.redis_port,
            database: 3,
            prefix: self.prefix.clone(),
            max_points: 300,
            ttl: Duration::from_secs(900),
            username: None,
            password: None,
            tls: false,
            ca: None,
        })?)
    }

    pub(crate) fn ring_key(&self, device: DeviceId, metric: &str) -> String {
        format!("{}:{device}:{metric}", self.prefix)
    }

    pub(crate) fn records(&self) -> Result<Records> {
        Ok(Records::open(&postgres_settings(&self.database))?)
    }

    /// One value of the story's database.
    pub(crate) async fn count(&self, sql: &str) -> Result<i64> {
        let client = sql_client(&self.database).await?;
        Ok(client.query_one(sql, &[]).await?.get(0))
    }

    /// Time stamps in a ring, oldest first, as every reader sees them.
    pub(crate) async fn ring(&self, device: DeviceId, metric: &str) -> Result<Vec<i64>> {
        let metric: MetricType = metric.parse()?;
        let points = self.rings()?.newest(device, &metric, usize::MAX).await?;
        Ok(points.iter().map(|point| point.timestamp.get()).collect())
    }

    /// A raw connection to the rings, as the first web app has it.
    pub(crate) async fn redis(&self) -> Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/3", self.redis_port))?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// Messages in a stream.
    pub(crate) async fn messages_in(&self, stream: &str) -> Result<u64> {
        let jetstream = async_nats::jetstream::new(self.operator().await?);
        Ok(jetstream.get_stream(stream).await?.cached_info().state.messages)
    }
}

impl Device {
    /// Publishes as an agent of the first generation does: plainly, without headers or answer.
    pub(crate) async fn publish(&self, subject: &str, payload: impl Into<Vec<u8>>) -> Result<()> {
        let payload = bytes::Bytes::from(payload.into());
        self.nats.publish(subject.to_owned(), payload).await?;
        Ok(())
    }

    pub(crate) async fn point(&self, metric: &str, at_ms: i64, value: f64) -> Result<()> {
        let (id, tenant) = (self.id, self.tenant);
        let payload = format!(
            r#"{{"device_uuid":"{id}","tenant_uuid":"{tenant}","metric_type":"{metric}","value":{value},"timestamp_ms":{at_ms}}}"#
        );
        self.publish(&format!("demo.system.{id}.{metric}"), payload).await
    }

    pub(crate) fn subject(&self, tail: &str) -> String {
        format!("tenant.{}.device.{}.{tail}", self.tenant, self.id)
    }
}

/// This machine's clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    protocol::UnixMillis::now().get()
}

fn shared() -> Result<(u16, DatabaseAddress)> {
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if REDIS.get().is_none() {
        let _ = REDIS.set(Redis::builder().start()?);
    }
    if POSTGRES.get().is_none() {
        let _ = POSTGRES.set(Postgres::builder().fsync(false).max_connections(300).start()?);
    }
    let redis = REDIS.get().context("redis was started above")?;
    let postgres = POSTGRES.get().context("postgres was started above")?;
    Ok((redis.port(), postgres.address()))
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
    keys.ensure_command_key()?;
    let config = accounts::server_config(
        &keys,
        &ServerConfigOptions {
            jetstream_dir: None,
            resolver_dir: dir.join("resolver"),
            sync_interval: SyncInterval::Every(Duration::from_secs(120)),
            max_payload_bytes: MAX_PAYLOAD_BYTES,
            max_file_store_bytes: Some(64 << 30),
            tls: None,
        },
    )?;
    let nats = Nats::builder().dir(dir.join("nats")).config(config).start()?;
    let server = AccountServer::open(nats.url(), &BrokerTls::default(), &keys).await?;
    accounts::apply(&server, &declared, &keys, Destructive::Refuse).await?;
    Ok((nats, keys))
}

/// A database of the story's own, without a table.
pub(crate) async fn empty_database() -> Result<DatabaseAddress> {
    let (_, server) = shared()?;
    let database = server.with_database(format!("story_{}", Uuid::now_v7().simple()));
    create_database(&database).await?;
    Ok(database)
}

/// How a program of ours reaches a database.
pub(crate) fn postgres_settings(database: &DatabaseAddress) -> PostgresSettings {
    PostgresSettings {
        url: database.url(),
        password: None,
        ca: None,
        pool_connections: 2,
        statement_timeout: Duration::from_secs(10),
    }
}

async fn create_database(address: &DatabaseAddress) -> Result<()> {
    let name = &address.database;
    let maintenance = address.clone().with_database("postgres");
    let client = sql_client(&maintenance).await?;
    client.batch_execute(&format!("create database {name}")).await?;
    Ok(())
}

/// A connection of its own, closed when dropped.
pub(crate) async fn sql_client(address: &DatabaseAddress) -> Result<tokio_postgres::Client> {
    let url = address.url();
    let (client, connection) =
        tokio_postgres::connect(url.expose_secret(), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
