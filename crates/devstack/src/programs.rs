//! Our own programs, which lie beside this one, and what they are told about the local stack.
//!
//! Promises: secrets go through the environment, never through arguments.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use secrecy::ExposeSecret as _;

use crate::{LocalStack, RedisUser};

/// The path of `program`, built beside this one.
///
/// # Errors
/// When it is not there.
pub(crate) fn path(program: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let path = own.with_file_name(program);
    if !path.exists() {
        bail!("{} is missing; build it with `cargo build --release --workspace`", path.display());
    }
    Ok(path)
}

/// Variables of the environment, by name.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// Where the operator's files of a local stack are.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) keys: PathBuf,
    pub(crate) tenants: PathBuf,
    pub(crate) issuing: PathBuf,
    pub(crate) creds: PathBuf,
    pub(crate) nats_config: PathBuf,
    /// Passwords and tokens, one a file of mode 0600.
    pub(crate) secrets: PathBuf,
}

impl Places {
    pub(crate) fn of(stack: &Path) -> Self {
        Self {
            keys: stack.join("keys"),
            tenants: stack.join("tenants"),
            issuing: stack.join("issuing"),
            creds: stack.join("creds"),
            nats_config: stack.join("nats-server.conf"),
            secrets: stack.join("secrets"),
        }
    }

    /// What the operator's verbs need to find keys and files.
    pub(crate) fn environment(&self) -> Environment {
        vec![
            ("WEGWEISER_KEYS_DIR", self.keys.display().to_string()),
            ("WEGWEISER_TENANTS_DIR", self.tenants.display().to_string()),
            ("WEGWEISER_ISSUING_KEYS", self.issuing.display().to_string()),
        ]
    }

    /// A token of the HTTP API for everything.
    pub(crate) fn api_token(&self) -> PathBuf {
        self.secrets.join("api-token")
    }

    /// The password of a service's sign-in at Postgres.
    pub(crate) fn database_password(&self, role: &str) -> PathBuf {
        self.secrets.join(format!("database-{role}"))
    }

    /// How a service signs in at Postgres: as itself, where it has a role of its own there.
    pub(crate) fn database_sign_in(&self, stack: &LocalStack, role: &str) -> Environment {
        let url = stack.postgres.address().with_user(&sign_in_name(role)).url_over_tls();
        let password = self.database_password(role).display().to_string();
        vec![("DATABASE_URL", url), ("WEGWEISER_DATABASE_PASSWORD_FILE", password)]
    }

    /// How somebody signs in at Redis.
    pub(crate) fn redis_sign_in(&self, user: RedisUser) -> Environment {
        let password = user.password_file(&self.secrets).display().to_string();
        vec![
            ("WEGWEISER_REDIS_USERNAME", user.name().to_owned()),
            ("WEGWEISER_REDIS_PASSWORD_FILE", password),
        ]
    }

    /// The directory of passwords and tokens, made where it is missing.
    pub(crate) fn secrets_made(&self) -> Result<PathBuf> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.secrets);
        made.with_context(|| format!("creating {}", self.secrets.display()))?;
        Ok(self.secrets.clone())
    }

    /// Credentials of a service of the backend, or of a device.
    pub(crate) fn creds_of(&self, name: &str) -> PathBuf {
        self.creds.join(format!("{name}.creds"))
    }
}

/// `DATABASE_URL` of the owner of the tables, over TLS.
pub(crate) fn owner_url(stack: &LocalStack) -> String {
    format!("{}?sslmode=require", stack.postgres.address().url().expose_secret())
}

/// The name by which a service signs in at Postgres.
pub(crate) fn sign_in_name(role: &str) -> String {
    format!("weg_{role}")
}

/// What a program needs to reach the servers of `stack`, as the operator but for the broker.
pub(crate) fn reaching(stack: &LocalStack, creds: &Path) -> Environment {
    let mut environment = Places::of(stack.dir()).redis_sign_in(RedisUser::Operator);
    environment.extend(redis_address(stack));
    environment.extend([
        ("NATS_URL", stack.nats.url().to_owned()),
        ("NATS_CREDS", creds.display().to_string()),
        ("WEGWEISER_NATS_CA", stack.tls().ca.display().to_string()),
        ("DATABASE_URL", owner_url(stack)),
        ("WEGWEISER_DATABASE_CA", stack.tls().ca.display().to_string()),
    ]);
    environment
}

/// Where Redis is, and how it is spoken to.
pub(crate) fn redis_address(stack: &LocalStack) -> Environment {
    // What the certificate names; and a port of 127.0.0.1 alone.
    let mut environment = vec![
        ("METRICS_REDIS_HOST", stack.redis.host().to_owned()),
        ("METRICS_REDIS_PORT", stack.redis.port().to_string()),
    ];
    if stack.redis.has_tls() {
        environment.push(("WEGWEISER_REDIS_TLS", "on".to_owned()));
        environment.push(("WEGWEISER_REDIS_CA", stack.tls().ca.display().to_string()));
    }
    environment
}

/// Runs one of our programs to its end and returns what it printed.
///
/// # Errors
/// When it fails; with what it said.
pub(crate) fn run(program: &str, args: &[&str], environment: &Environment) -> Result<String> {
    let said = Command::new(path(program)?)
        .args(args)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .with_context(|| format!("starting {program}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if !said.status.success() {
        let (verb, error) = (args.join(" "), text(&said.stderr));
        bail!("`{program} {verb}` failed ({}):\n{error}\n{}", said.status, text(&said.stdout));
    }
    Ok(text(&said.stdout))
}
