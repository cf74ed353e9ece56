//! One of our own long-running programs under a warden, so that it ends with whoever started it.

use std::path::Path;

use anyhow::Result;

use crate::process::{Launch, Process, StopSignal};
use crate::programs::{self, Environment};
use crate::ready;

/// A running program of ours.
#[derive(Debug)]
pub(crate) struct Service {
    name: String,
    process: Process,
}

impl Service {
    /// Starts `program` under `name`; its log is `{name}.log` in `dir`.
    pub(crate) fn start(
        name: &str,
        program: &str,
        args: Vec<String>,
        environment: Environment,
        dir: &Path,
    ) -> Result<Self> {
        let launch = Launch {
            program: programs::path(program)?,
            args: args.into_iter().map(Into::into).collect(),
            environment,
            stop_signal: StopSignal::Term,
            account: None,
            dir: dir.join(name),
            log: dir.join(format!("{name}.log")),
        };
        std::fs::create_dir_all(&launch.dir)?;
        Ok(Self { name: name.to_owned(), process: Process::spawn(&launch)? })
    }

    /// Waits until `/readyz` at the port says yes; over TLS where an authority is given.
    pub(crate) fn wait_ready(&self, port: u16, ca: Option<&Path>) -> Result<()> {
        const STATUS_LINE_BYTES: usize = 15;
        let request = format!("GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        let trusted = ca.map(ready::trusting).transpose()?;
        let ready = ready::wait_ready(&self.name, &self.process, || {
            let answer = match &trusted {
                None => ready::ask(port, request.as_bytes(), STATUS_LINE_BYTES),
                Some(tls) => ready::ask_tls(port, tls, request.as_bytes(), STATUS_LINE_BYTES),
            };
            answer?.ends_with(b" 200 OK").then_some(())
        });
        ready.map_err(|failed| failed.error)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has ended without being asked to.
    pub(crate) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    pub(crate) fn log_path(&self) -> &Path {
        self.process.log_path()
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Asks it to finish, and kills it if it does not.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.process.stop()
    }
}

/// Stops all of them at once; none gets more time than one alone.
pub(crate) fn stop_all(services: &mut [Service]) -> Result<()> {
    std::thread::scope(|scope| {
        let mut stopping = Vec::with_capacity(services.len());
        for service in services {
            stopping.push(scope.spawn(|| service.stop()));
        }
        stopping.into_iter().try_for_each(crate::local::joined)
    })
}
