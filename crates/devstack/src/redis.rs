//! A real Redis (or Valkey) server.
//!
//! Promises: it listens on 127.0.0.1 only and is ready when [`RedisBuilder::start`] returns. By
//! default it keeps nothing on disk: a kill empties it, as the rings' TTL would.
//! Nothing but this machine reaches it; with [`RedisBuilder::users`] nobody without a password, with
//! [`RedisBuilder::tls`] nobody in the clear.

mod users;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use rustix::process::Signal;
use rustls::ClientConfig;

pub use users::RedisUser;

use crate::dir_lock;
use crate::home::Home;
use crate::process::{Launch, Process, StopSignal};
use crate::ready::{self, NotReady, wait_ready};
use crate::tls::TlsFiles;
use crate::tools;

const PONG_BYTES_MAX: usize = 64;

/// How to start a Redis. By default: nothing persisted, a temporary directory.
#[derive(Debug, Default, Clone)]
#[must_use]
pub struct RedisBuilder {
    program: Option<PathBuf>,
    dir: Option<PathBuf>,
    preferred_port: Option<u16>,
    persist: bool,
    secrets: Option<PathBuf>,
    tls: Option<TlsFiles>,
    extra_args: Vec<OsString>,
}

impl RedisBuilder {
    /// The executable, in place of what [`tools::redis_server`] finds.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// The server's own directory, made private (mode 0700); it outlives the handle. Without it:
    /// a temporary one.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The port to take if it is free.
    pub fn preferred_port(mut self, port: u16) -> Self {
        self.preferred_port = Some(port);
        self
    }

    /// Keeps an append-only file, so that the data outlives a restart and, but for the last second,
    /// a power loss.
    pub fn persist(mut self, persist: bool) -> Self {
        self.persist = persist;
        self
    }

    /// Lets in the users of `deploy/redis/users.acl` alone, with passwords in `secrets`.
    pub fn users(mut self, secrets: impl Into<PathBuf>) -> Self {
        self.secrets = Some(secrets.into());
        self
    }

    /// Speaks TLS only; needs a [`Self::program`] that can.
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// A further command line argument, such as `--maxmemory` and then `64mb`.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.extra_args.push(arg.into());
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// When there is no Redis, or it does not come up: then with the end of its log.
    pub fn start(self) -> Result<Redis> {
        let program = match self.program {
            Some(program) => program,
            None => tools::redis_server()?.path().to_path_buf(),
        };
        let home = Home::open(self.dir.as_deref(), None)?;
        // Before a port is chosen: the one that a dying predecessor holds may be the preferred one.
        dir_lock::wait_unused(home.path())?;
        let mut extra_args = self.extra_args;
        if let Some(secrets) = &self.secrets {
            let acl = home.path().join("users.acl");
            users::write_acl(secrets, &acl)?;
            extra_args.extend(["--aclfile".into(), acl.into()]);
        }
        let (dir, persist) = (home.path().to_path_buf(), self.persist);
        let trust = self.tls.as_ref().map(|files| ready::trusting(&files.ca)).transpose()?;
        let tls = self.tls.zip(trust);
        let recipe = Recipe { program, dir, persist, tls, extra_args };
        match ready::on_free_port(self.preferred_port, |port| Ok((recipe.start(port)?, port))) {
            Ok((process, port)) => Ok(Redis { process, port, recipe, _home: home }),
            Err(error) => Err(home.kept_for(error)),
        }
    }
}

/// A running Redis; it stops when this is dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    recipe: Recipe,
    _home: Home,
}

impl Redis {
    /// Options for a server to start.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// Always `127.0.0.1`.
    #[must_use]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// Whether it speaks TLS, and nothing else.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.recipe.tls.is_some()
    }

    /// The port on [`Self::host`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's directory: log and, if persisted, data.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.recipe.dir
    }

    /// The process id of the server itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What the server says about itself.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        self.process.log_path()
    }

    /// Whether the server runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.process.has_ended()
    }

    /// Lets the server finish, and kills it if that takes longer than 5 s.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop()
    }

    /// Kills the server as a crash would (SIGKILL).
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Freezes the server (SIGSTOP): connections stay open, nothing answers.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Ends a [`Self::pause`].
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// Stops the server if it runs and starts it on the same port and files.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn restart(&mut self) -> Result<()> {
        self.process.stop()?;
        self.process = ready::on_same_port(|| self.recipe.start(self.port))?;
        Ok(())
    }
}

/// Everything that a start and a restart have in common.
#[derive(Debug)]
struct Recipe {
    program: PathBuf,
    dir: PathBuf,
    persist: bool,
    /// Certificate and key; and how to ask who shows them.
    tls: Option<(TlsFiles, Arc<ClientConfig>)>,
    extra_args: Vec<OsString>,
}

impl Recipe {
    fn start(&self, port: u16) -> Result<Process, NotReady> {
        let append_only = if self.persist { "yes" } else { "no" };
        let mut args: Vec<OsString> = match &self.tls {
            None => vec!["--port".into(), port.to_string().into()],
            Some((files, _)) => vec![
                "--port".into(),
                "0".into(),
                "--tls-port".into(),
                port.to_string().into(),
                "--tls-cert-file".into(),
                files.certificate.clone().into(),
                "--tls-key-file".into(),
                files.key.clone().into(),
                "--tls-ca-cert-file".into(),
                files.ca.clone().into(),
                // The password says who it is.
                "--tls-auth-clients".into(),
                "no".into(),
            ],
        };
        args.extend(["--bind", "127.0.0.1", "--daemonize", "no", "--save", ""].map(Into::into));
        args.extend(["--appendonly", append_only, "--dir"].map(Into::into));
        args.push(self.dir.clone().into());
        args.extend(self.extra_args.iter().cloned());
        let launch = Launch {
            program: self.program.clone(),
            args,
            environment: Vec::new(),
            stop_signal: StopSignal::Term,
            account: None,
            dir: self.dir.clone(),
            log: self.dir.join("redis.log"),
        };
        let process = Process::spawn(&launch)?;
        // `-LOADING` while it reads its file; `-NOAUTH` when an extra argument sets a password.
        wait_ready("redis", &process, || {
            let answer = match &self.tls {
                None => ready::ask(port, b"PING\r\n", PONG_BYTES_MAX)?,
                Some((_, trust)) => ready::ask_tls(port, trust, b"PING\r\n", PONG_BYTES_MAX)?,
            };
            (answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH")).then_some(())
        })?;
        Ok(process)
    }
}
