//! A real nats-server.
//!
//! Promises: it listens on loopback only, on ports that it picked itself, and is ready when
//! [`NatsBuilder::start`] returns. The configuration's text is the caller's; where it listens and
//! keeps its files is not. Refuses to: run with `handshake_first`, which hides the `INFO` line that
//! readiness is told by.

mod ports;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::process::Signal;

use ports::Ports;

use crate::account::set_mode;
use crate::dir_lock;
use crate::home::Home;
use crate::process::{Launch, Process, StopSignal};
use crate::ready::{self, NotReady, wait_ready};
use crate::tools;

/// Makes nats-server pick a port.
const PICK_A_PORT: &str = "-1";
const INFO_BYTES_MAX: usize = 16;

/// How to start a nats-server. By default: JetStream off, no authentication, a temporary directory.
#[derive(Debug, Default, Clone)]
#[must_use]
pub struct NatsBuilder {
    program: Option<PathBuf>,
    dir: Option<PathBuf>,
    config: String,
    preferred_port: Option<u16>,
    extra_args: Vec<OsString>,
}

impl NatsBuilder {
    /// The executable, in place of what [`tools::nats_server`] finds.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// The server's own directory, which outlives the handle. Without it: a temporary one.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The text of the configuration file. Relative paths in it start at the server's directory.
    /// `jetstream {}` is enough for JetStream on file: its directory, where the text names no
    /// `store_dir`, the listening addresses and the log are set by us.
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = text.into();
        self
    }

    /// The client port to take if it is free.
    pub fn preferred_port(mut self, port: u16) -> Self {
        self.preferred_port = Some(port);
        self
    }

    /// A further command line argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.extra_args.push(arg.into());
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// When there is no nats-server, or it does not come up: then with the end of its log.
    pub fn start(self) -> Result<Nats> {
        let program = match self.program {
            Some(program) => program,
            None => tools::nats_server()?.path().to_path_buf(),
        };
        let home = Home::open(self.dir.as_deref(), None)?;
        // Before a port is chosen: the one that a dying predecessor holds may be the preferred one.
        dir_lock::wait_unused(home.path())?;
        let config = home.path().join("nats.conf");
        fs::write(&config, &self.config)
            .with_context(|| format!("writing {}", config.display()))?;
        // It may name keys and hold passwords.
        set_mode(&config, 0o600)?;

        let recipe = Recipe {
            program,
            dir: home.path().to_path_buf(),
            names_store: self.config.contains("store_dir"),
            extra_args: self.extra_args,
        };
        let preferred = self.preferred_port.filter(|port| ready::is_free(*port));
        let started = match recipe.start(preferred, None) {
            Err(failed) if failed.port_taken => recipe.start(None, None),
            other => other,
        };
        match started {
            Ok((process, ports)) => Ok(Nats { process, ports, recipe, _home: home }),
            Err(failed) => Err(home.kept_for(failed.error)),
        }
    }
}

/// A running nats-server; it stops when this is dropped.
#[derive(Debug)]
pub struct Nats {
    process: Process,
    ports: Ports,
    recipe: Recipe,
    _home: Home,
}

impl Nats {
    /// Options for a server to start.
    pub fn builder() -> NatsBuilder {
        NatsBuilder::default()
    }

    /// Where clients connect: `nats://127.0.0.1:…`, or `tls://…` when the configuration has TLS.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.ports.client_url
    }

    /// The client port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.client
    }

    /// The port for WebSocket, where the configuration has a `websocket` block with port -1.
    #[must_use]
    pub fn websocket_port(&self) -> Option<u16> {
        self.ports.websocket
    }

    /// The HTTP monitoring endpoint, such as `http://127.0.0.1:8222`.
    #[must_use]
    pub fn monitoring_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.monitoring)
    }

    /// The server's directory: configuration, JetStream files, log.
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

    /// Stops the server if it runs and starts it on the same ports and files.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn restart(&mut self) -> Result<()> {
        self.process.stop()?;
        let (client, monitoring) = (self.ports.client, self.ports.monitoring);
        let (process, ports) =
            ready::on_same_port(|| self.recipe.start(Some(client), Some(monitoring)))?;
        self.process = process;
        self.ports = ports;
        Ok(())
    }
}

/// Everything that a start and a restart have in common.
#[derive(Debug)]
struct Recipe {
    program: PathBuf,
    dir: PathBuf,
    names_store: bool,
    extra_args: Vec<OsString>,
}

impl Recipe {
    fn start(
        &self,
        client: Option<u16>,
        monitoring: Option<u16>,
    ) -> Result<(Process, Ports), NotReady> {
        let ports_dir = self.fresh_ports_dir()?;
        let port = |port: Option<u16>| port.map_or(PICK_A_PORT.into(), |port| port.to_string());
        let mut args: Vec<OsString> = vec!["--config".into(), self.dir.join("nats.conf").into()];
        args.extend(["--addr".into(), "127.0.0.1".into()]);
        args.extend(["--port".into(), port(client).into()]);
        args.extend(["--http_port".into(), port(monitoring).into()]);
        args.extend(["--ports_file_dir".into(), ports_dir.clone().into()]);
        // The server refuses to be told twice.
        if !self.names_store {
            args.extend(["--store_dir".into(), self.dir.join("jetstream").into()]);
        }
        args.extend(self.extra_args.iter().cloned());
        let launch = Launch {
            program: self.program.clone(),
            args,
            environment: Vec::new(),
            stop_signal: StopSignal::Term,
            account: None,
            dir: self.dir.clone(),
            log: self.dir.join("nats-server.log"),
        };
        let process = Process::spawn(&launch)?;
        let ports = wait_ready("nats-server", &process, || {
            let ports = Ports::read(&ports_dir)?;
            let greeting = ready::ask(ports.client, b"", INFO_BYTES_MAX)?;
            greeting.starts_with(b"INFO ").then_some(ports)
        })?;
        Ok((process, ports))
    }

    /// An empty directory for the file in which the server names its ports.
    fn fresh_ports_dir(&self) -> Result<PathBuf> {
        let dir = self.dir.join("ports");
        match fs::remove_dir_all(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("emptying {}", dir.display()));
            }
        }
        fs::create_dir(&dir).with_context(|| format!("creating {}", dir.display()))?;
        Ok(dir)
    }
}
