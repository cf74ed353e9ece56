//! A real Postgres.
//!
//! Promises: it listens on 127.0.0.1 (and a Unix socket in its directory) only, asks for a generated
//! password, and is ready when [`PostgresBuilder::start`] returns. Its data directory is made once,
//! from a cached template. Started by root, it runs as `nobody`, wherever the project lies.
//! Refuses to: upgrade a data directory of another major version.

mod address;
mod template;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use secrecy::SecretString;

pub use address::DatabaseAddress;
pub(crate) use template::template_home;

use crate::account::{Account, set_mode};
use crate::dir_lock;
use crate::home::Home;
use crate::process::{Launch, Process, StopSignal};
use crate::ready::{self, NotReady, wait_ready};
use crate::tls::TlsFiles;
use crate::tools;

const MAX_CONNECTIONS_DEFAULT: u32 = 100;
/// What the kernel allows for a Unix socket's path.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How to start a Postgres. By default: `fsync` on, 100 connections, a temporary directory.
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresBuilder {
    bin_dir: Option<PathBuf>,
    dir: Option<PathBuf>,
    preferred_port: Option<u16>,
    fsync: bool,
    max_connections: u32,
    tls: Option<TlsFiles>,
    settings: Vec<String>,
}

impl PostgresBuilder {
    /// The directory of the executables, in place of what [`tools::postgres`] finds.
    pub fn bin_dir(mut self, bin_dir: impl Into<PathBuf>) -> Self {
        self.bin_dir = Some(bin_dir.into());
        self
    }

    /// The server's own directory, made private (mode 0700); it outlives the handle. Without it:
    /// a temporary one. Where root's unprivileged stand-in cannot reach it, a directory in
    /// `/var/tmp` takes its place.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The port to take if it is free.
    pub fn preferred_port(mut self, port: u16) -> Self {
        self.preferred_port = Some(port);
        self
    }

    /// Whether commits reach the disk. Off is quicker and still survives a killed server, but not a
    /// power loss: right for tests.
    pub fn fsync(mut self, fsync: bool) -> Self {
        self.fsync = fsync;
        self
    }

    /// How many connections the server accepts.
    pub fn max_connections(mut self, max_connections: u32) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// Speaks TLS to who asks for it. The server has a copy of the key of its own.
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// A server setting, such as `log_statement=all`.
    pub fn setting(mut self, name_and_value: impl Into<String>) -> Self {
        self.settings.push(name_and_value.into());
        self
    }

    /// Starts the server and waits until it answers. The first start on a machine runs `initdb`.
    ///
    /// # Errors
    /// When there is no Postgres, or it does not come up: then with the end of its log.
    pub fn start(self) -> Result<Postgres> {
        let account = Account::if_root()?;
        let bin_dir = match self.bin_dir {
            Some(bin_dir) => bin_dir,
            None => tools::postgres()?.path().to_path_buf(),
        };
        let bin_dir = template::reachable_bin_dir(bin_dir, account.as_ref())?;
        let home = Home::open(self.dir.as_deref(), account.as_ref())?;
        // Before a port is chosen: the one that a dying predecessor holds may be the preferred one.
        dir_lock::wait_unused(home.path())?;
        let dir = home.path().to_path_buf();

        let password = template::data_in(&dir, &bin_dir, account.as_ref(), self.fsync)?;
        let mut settings = self.settings;
        if let Some(files) = &self.tls {
            settings.extend(tls_settings(files, &dir, account.as_ref())?);
        }
        let recipe = Recipe {
            program: bin_dir.join("postgres"),
            socket_dir: socket_dir(&dir, account.as_ref())?,
            dir,
            account,
            fsync: self.fsync,
            max_connections: self.max_connections,
            settings,
        };
        match ready::on_free_port(self.preferred_port, |port| Ok((recipe.start(port)?, port))) {
            Ok((process, port)) => Ok(Postgres { process, port, password, recipe, _home: home }),
            Err(error) => Err(home.kept_for(error)),
        }
    }
}

/// A running Postgres; it stops when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    password: SecretString,
    recipe: Recipe,
    _home: Home,
}

impl Postgres {
    /// Options for a server to start.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder {
            bin_dir: None,
            dir: None,
            preferred_port: None,
            fsync: true,
            max_connections: MAX_CONNECTIONS_DEFAULT,
            tls: None,
            settings: Vec::new(),
        }
    }

    /// Where and as whom to connect: the superuser `wegweiser` and its database `wegweiser`.
    #[must_use]
    pub fn address(&self) -> DatabaseAddress {
        DatabaseAddress::new(self.port, self.password.clone())
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's directory: data and log.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.recipe.dir
    }

    /// The process id of the server itself (the postmaster).
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

    /// Ends connections and lets the server finish; kills it if that takes longer than 5 s.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop()
    }

    /// Kills the postmaster as a crash would (SIGKILL); its children end by themselves.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Freezes the postmaster (SIGSTOP): nobody can connect. Open connections have a process of
    /// their own each and go on; to freeze those too, put a [`crate::TcpProxy`] before the server.
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

    /// Stops the server if it runs and starts it on the same port and data.
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
    /// Empty: no Unix socket.
    socket_dir: PathBuf,
    account: Option<Account>,
    fsync: bool,
    max_connections: u32,
    settings: Vec<String>,
}

impl Recipe {
    fn start(&self, port: u16) -> Result<Process, NotReady> {
        let on_or_off = if self.fsync { "on" } else { "off" };
        let mut args: Vec<OsString> = vec!["-D".into(), self.dir.join("data").into()];
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={}", self.socket_dir.display()),
            format!("fsync={on_or_off}"),
            format!("full_page_writes={on_or_off}"),
            format!("max_connections={}", self.max_connections),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
        ];
        for setting in settings.iter().chain(&self.settings) {
            args.extend(["-c".into(), setting.into()]);
        }
        let launch = Launch {
            program: self.program.clone(),
            args,
            environment: Vec::new(),
            stop_signal: StopSignal::Int,
            account: self.account.clone(),
            dir: self.dir.clone(),
            log: self.dir.join("postgres.log"),
        };
        let process = Process::spawn(&launch)?;
        wait_ready("postgres", &process, || address::accepts(port).then_some(()))?;
        Ok(process)
    }
}

/// Copies certificate and key to where the server's account reaches them, each time: they may have
/// been made anew.
fn tls_settings(files: &TlsFiles, dir: &Path, account: Option<&Account>) -> Result<[String; 3]> {
    let (certificate, key) = (dir.join("server.pem"), dir.join("server.key"));
    for (from, to, mode) in [(&files.certificate, &certificate, 0o644), (&files.key, &key, 0o600)] {
        fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
        set_mode(to, mode)?;
        if let Some(account) = account {
            account.give(to)?;
        }
    }
    Ok([
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
    ])
}

/// A directory for the Unix socket beside the data, or nothing where its path would be too long.
fn socket_dir(dir: &Path, account: Option<&Account>) -> Result<PathBuf> {
    let socket_dir = dir.join("s");
    let longest = socket_dir.join(".s.PGSQL.65535.lock");
    if longest.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Ok(PathBuf::new());
    }
    fs::create_dir_all(&socket_dir)
        .with_context(|| format!("creating {}", socket_dir.display()))?;
    if !socket_dir.is_dir() {
        bail!("{} is not a directory", socket_dir.display());
    }
    if let Some(account) = account {
        account.give(&socket_dir)?;
    }
    Ok(socket_dir)
}
