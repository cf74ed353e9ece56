//! The local stack: all three servers under `.stack/`, with addresses and data that stay.
//!
//! Promises: at most one local stack runs per directory; its ports are the same at each start while
//! nobody else has them; `.stack/env` (mode 0600) holds what a shell needs to reach it.
//! Refuses to: start servers for tests; those have directories of their own.

mod control;
mod env_file;
mod serve;
mod state;

use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use anyhow::{Result, anyhow};

pub use control::{clean, down, status, up};
pub use serve::serve;
use state::{Ports, ServeLock};

use crate::programs::Places;
use crate::tls::{self, TlsFiles};
use crate::{Nats, Postgres, Redis, RedisBuilder, output, tools};

/// Without a configuration of its own, the broker has JetStream and nothing else: no TLS, no accounts.
const PLAIN_NATS_CONFIG: &str = "jetstream { max_file_store: 64GB }\n";

/// What the operator may give the local broker.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BrokerFiles {
    /// The text of nats-server's configuration, without what it listens on and where it stores
    #[arg(long, value_name = "FILE")]
    pub nats_config: Option<PathBuf>,
    /// The credentials that `.stack/env` names, for the verbs that operate the broker
    #[arg(long, value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
}

/// How to start the local stack.
#[derive(Debug, Clone)]
#[must_use]
pub struct LocalStackBuilder {
    stack: PathBuf,
    nats_config: Option<String>,
    nats_creds: Option<PathBuf>,
}

impl LocalStackBuilder {
    /// The text of nats-server's configuration. If it turns TLS on, with the files of [`tls_files`],
    /// `.stack/env` names their authority as the one to trust.
    pub fn nats_config(mut self, text: impl Into<String>) -> Self {
        self.nats_config = Some(text.into());
        self
    }

    /// The credentials file that `.stack/env` names as `NATS_CREDS`. It need not exist yet.
    pub fn nats_creds(mut self, file: impl Into<PathBuf>) -> Self {
        self.nats_creds = Some(file.into());
        self
    }

    /// Starts all three servers, at once, and waits until they answer.
    ///
    /// # Errors
    /// When a local stack runs already, or a server does not come up; the others are stopped then.
    pub fn start(self) -> Result<LocalStack> {
        let lock = ServeLock::acquire(&self.stack)?;
        let ports = Ports::load(&self.stack);
        let tls = tls_files(&self.stack)?;
        let config = self.nats_config.as_deref().unwrap_or(PLAIN_NATS_CONFIG);

        let nats = || {
            let mut server = Nats::builder().dir(self.stack.join("nats")).config(config);
            if let Some(ports) = &ports {
                server = server.preferred_port(ports.nats);
            }
            server.start()
        };
        let secrets = Places::of(&self.stack).secrets_made()?;
        let redis = || {
            let mut server = redis_server(&tls);
            server = server.dir(self.stack.join("redis")).persist(true).users(&secrets);
            if let Some(ports) = &ports {
                server = server.preferred_port(ports.redis);
            }
            server.start()
        };
        let postgres = || {
            let mut server = Postgres::builder().dir(self.stack.join("postgres")).tls(tls.clone());
            if let Some(ports) = &ports {
                server = server.preferred_port(ports.postgres);
            }
            server.start()
        };
        let (nats, redis, postgres) = std::thread::scope(|scope| {
            let nats = scope.spawn(nats);
            let redis = scope.spawn(redis);
            let postgres = scope.spawn(postgres);
            (joined(nats), joined(redis), joined(postgres))
        });
        let stack = LocalStack {
            nats: nats?,
            redis: redis?,
            postgres: postgres?,
            tls,
            nats_creds: self.nats_creds,
            stack: self.stack,
            lock,
        };
        stack.publish()?;
        Ok(stack)
    }
}

/// With TLS wherever a server that speaks it is to be had; without it only loopback hears us.
fn redis_server(tls: &TlsFiles) -> RedisBuilder {
    match tools::redis_server_with_tls() {
        Ok(tool) => Redis::builder().program(tool.path()).tls(tls.clone()),
        Err(error) => {
            output::note(&format!("redis without TLS, on loopback only: {error:#}"));
            Redis::builder()
        }
    }
}

/// The running local stack; it stops when this is dropped.
#[derive(Debug)]
pub struct LocalStack {
    /// The broker.
    pub nats: Nats,
    /// The rings.
    pub redis: Redis,
    /// The records.
    pub postgres: Postgres,
    tls: TlsFiles,
    nats_creds: Option<PathBuf>,
    stack: PathBuf,
    // Last, so that it is let go of when the servers have stopped.
    lock: ServeLock,
}

impl LocalStack {
    /// Options for the stack in `stack` (as [`crate::stack_dir`] gives it).
    pub fn builder(stack: impl Into<PathBuf>) -> LocalStackBuilder {
        LocalStackBuilder { stack: stack.into(), nats_config: None, nats_creds: None }
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.stack
    }

    /// The certificates that the broker's configuration may name.
    #[must_use]
    pub fn tls(&self) -> &TlsFiles {
        &self.tls
    }

    /// Stops all three at once; none gets more time than a server alone.
    ///
    /// # Errors
    /// When one cannot be ended; the others are ended all the same.
    pub fn stop(&mut self) -> Result<()> {
        let Self { nats, redis, postgres, .. } = self;
        let ended = std::thread::scope(|scope| {
            let nats = scope.spawn(|| nats.stop());
            let redis = scope.spawn(|| redis.stop());
            let postgres = scope.spawn(|| postgres.stop());
            [joined(nats), joined(redis), joined(postgres)]
        });
        self.lock.withdraw();
        ended.into_iter().collect()
    }

    /// Puts the web service's URL into `.stack/env` too.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn publish_web(&self, url: &str) -> Result<()> {
        env_file::write(self, Some(url), &env_file_path(&self.stack))
    }

    /// Writes what others need to find us.
    fn publish(&self) -> Result<()> {
        let ports = Ports {
            nats: self.nats.port(),
            redis: self.redis.port(),
            postgres: self.postgres.port(),
        };
        ports.save(&self.stack)?;
        env_file::write(self, None, &env_file_path(&self.stack))?;
        self.lock.publish(&state::State {
            pid: std::process::id(),
            servers: vec![
                state::Server::new("nats", self.nats.url(), self.nats.pid(), self.nats.log_path()),
                state::Server::new(
                    "redis",
                    &format!("{}:{}", self.redis.host(), self.redis.port()),
                    self.redis.pid(),
                    self.redis.log_path(),
                ),
                state::Server::new(
                    "postgres",
                    &format!("127.0.0.1:{}", self.postgres.port()),
                    self.postgres.pid(),
                    self.postgres.log_path(),
                ),
            ],
        })
    }
}

/// The certificates of the local stack in `stack`, made if they are missing: the broker's
/// configuration names them before the broker is started.
///
/// # Errors
/// When they cannot be made.
pub fn tls_files(stack: &Path) -> Result<TlsFiles> {
    tls::files_in(&stack.join("tls"))
}

/// The file that a shell sources to reach the local stack.
#[must_use]
pub fn env_file_path(stack: &Path) -> PathBuf {
    stack.join("env")
}

pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(anyhow!("a thread that handles a server has panicked")))
}
